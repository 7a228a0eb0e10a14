import { isUtf8 } from 'node:buffer'
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Static } from '@sinclair/typebox'
import { Type } from '@sinclair/typebox'
import { ref } from '../schemas/component.ts'
import { isJsonObject } from '../schemas/json.ts'
import { InboundMessage, toStoredMessage } from '../schemas/webhook.ts'
import { integer } from '../setting.ts'
import { commonResponses, contentResponses, tooLarge } from './responses.ts'
import { defineSource, oneMessageLog, type Receiver, type SigningKey } from './source.ts'

const PATH = '/webhook/standard'

/** Maximum body in bytes: that of `/webhook`, with room for the envelope. */
const BODY_LIMIT = 80 * 1024

/** Prefix of a secret in text. */
const PREFIX = 'whsec_'

/** Lengths of a secret in bytes that the specification allows. */
const MIN_SECRET_BYTES = 24
const MAX_SECRET_BYTES = 64

/** A symmetric signature: base64 of an HMAC-SHA256. Others, such as `v1a`, are ignored. */
const SIGNATURE = /^v1,([A-Za-z0-9+/]{43}=)$/

/** Seconds since 1970. */
const TIMESTAMP = /^[0-9]{1,12}$/

/** Returns the bytes of a secret in base64, with or without `whsec_`; undefined if it is invalid. */
export function parseSecret(text: string): Buffer | undefined {
  const base64 = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text
  const bytes = Buffer.from(base64, 'base64')
  const isBase64 = bytes.toString('base64') === base64
  return isBase64 && bytes.length >= MIN_SECRET_BYTES && bytes.length <= MAX_SECRET_BYTES
    ? bytes
    : undefined
}

function digest(key: KeyObject, id: string, timestamp: string, body: Uint8Array | string): Buffer {
  const hmac = createHmac('sha256', key)
  // Node decodes headers as Latin-1; this restores the bytes that were signed.
  hmac.update(`${id}.${timestamp}.`, 'latin1')
  return hmac.update(body).digest()
}

/**
 * Creates a verifier of symmetric signatures of Standard Webhooks 1.0, compared in constant time.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 * @param secrets the current one, then former ones
 * @param toleranceS maximum difference of the timestamp from `nowMs`, in seconds, in either direction
 * @returns the verifier; `nowMs` is the current time in milliseconds since 1970
 */
export function createStandardVerifier(
  secrets: readonly Buffer[],
  toleranceS: number,
): (body: Uint8Array, headers: IncomingHttpHeaders, nowMs: number) => SigningKey | undefined {
  const keys = secrets.map((secret) => createSecretKey(secret))
  return (body, headers, nowMs) => {
    const id = headers['webhook-id']
    const timestamp = headers['webhook-timestamp']
    const signatures = headers['webhook-signature']
    if (typeof id !== 'string' || id === '' || typeof timestamp !== 'string') return undefined
    if (typeof signatures !== 'string' || !TIMESTAMP.test(timestamp)) return undefined
    if (Math.abs(Math.floor(nowMs / 1000) - Number(timestamp)) > toleranceS) return undefined
    const given = signatures.split(' ').flatMap((signature) => {
      const base64 = SIGNATURE.exec(signature)?.[1]
      return base64 === undefined ? [] : [Buffer.from(base64, 'base64')]
    })
    const used = keys.findIndex((key) => {
      const expected = digest(key, id, timestamp, body)
      return given.some((one) => timingSafeEqual(one, expected))
    })
    if (used === -1) return undefined
    return used === 0 ? 'current' : 'previous'
  }
}

/** Property of an unwrapped message: the JSON of the sender, before absent fields were filled in. */
const ORIGINAL = Symbol('original')

type Unwrapped = Static<typeof InboundMessage> & { [ORIGINAL]: object }

/**
 * Returns the id of a `webhook-id` header, which Node decodes as Latin-1: its bytes as UTF-8.
 * Bytes that are not UTF-8 stay Latin-1, as replacement characters would make different ids equal.
 */
function idOf(header: unknown): string {
  const bytes = Buffer.from(String(header), 'latin1')
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}

/**
 * Returns the message of a body: the body itself, or its `data`.
 * An absent id is taken from the header `webhook-id`, an absent `ts` from the envelope.
 */
function unwrap(value: unknown, headers: IncomingHttpHeaders): unknown {
  if (!isJsonObject(value)) return value
  const message = isJsonObject(value.data) ? value.data : value
  return {
    ...message,
    message_id: message.message_id ?? idOf(headers['webhook-id']),
    ...(message.ts === undefined && 'timestamp' in value && { ts: value.timestamp }),
    [ORIGINAL]: message,
  }
}

/** Pattern of a message type; any other value is stored as `text`. */
const TYPE = /^[\w.-]{1,64}$/

function typeOf(message: object): string {
  return 'type' in message && typeof message.type === 'string' && TYPE.test(message.type)
    ? message.type
    : 'text'
}

function receiverOf(secrets: readonly Buffer[], toleranceS: number): Receiver {
  const verify = createStandardVerifier(secrets, toleranceS)
  return {
    source: 'standard',
    path: PATH,
    bodyLimit: BODY_LIMIT,
    rejectsContent: true,
    verify: (body, headers) => verify(body, headers, Date.now()),
    unwrap,
    read: ({ [ORIGINAL]: original, ...message }: Unwrapped, createdAt) => ({
      messages: [
        {
          ...toStoredMessage(message, createdAt),
          source: 'standard',
          type: typeOf(original),
          payload: JSON.stringify(original),
        },
      ],
    }),
    log: oneMessageLog,
    schema: {
      tags: ['webhook'],
      operationId: 'postStandardMessage',
      summary: 'Post a message signed by Standard Webhooks',
      description:
        'The message of `POST /webhook`, bare or as `data` of `{"type": …, "timestamp": …, "data": …}`, signed by [Standard Webhooks 1.0](https://www.standardwebhooks.com). If `message_id` is absent, the id is the `webhook-id` header; if `ts` is absent, it is the `timestamp` of the envelope. Otherwise as `POST /webhook`.',
      consumes: ['application/json', 'application/*+json'],
      headers: Type.Object({
        'webhook-id': Type.String({ description: 'Id of the message, the same in every attempt.' }),
        'webhook-timestamp': Type.String({ description: 'Time of the attempt, in unix seconds.' }),
        'webhook-signature': Type.String({
          description: 'Signatures, separated by spaces: `v1,` and base64 of an HMAC-SHA256.',
        }),
      }),
      body: ref(InboundMessage),
      response: { ...commonResponses, ...contentResponses, 413: tooLarge('80 KiB') },
    },
  }
}

/** Senders that sign by Standard Webhooks 1.0: one message in each body. */
export const standard = defineSource({
  name: 'standard',
  settings: {
    /** The current secret, then former ones that are still accepted; empty if not set. */
    secrets: {
      name: 'STANDARD_WEBHOOKS_SECRET',
      default: '',
      expected: `secrets of the form ${PREFIX}…, base64 of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes, separated by spaces`,
      description:
        'The secret of `/webhook/standard`, `whsec_` and base64 of 24 to 64 bytes. Several are separated by spaces: the current one first, then former ones that are still accepted.',
      secret: true,
      parse: (text, reject) =>
        text
          .split(' ')
          .filter((part) => part !== '')
          .map((part) => parseSecret(part) ?? reject()),
    },
    /** Maximum difference of a signature's timestamp from now, in seconds. */
    toleranceS: {
      name: 'STANDARD_WEBHOOKS_TOLERANCE_S',
      default: '300',
      description:
        'Seconds by which the timestamp of a signature at `/webhook/standard` may differ from now, in either direction.',
      ...integer(1, 999_999, { prefix: 'seconds,' }),
    },
  },
  createReceiver: ({ secrets, toleranceS }) =>
    secrets.length === 0 ? undefined : receiverOf(secrets, toleranceS),
  signSample: ({ secrets: [secret] }, { id, from, to, sentAt, text }) => {
    if (secret === undefined) return undefined
    const timestamp = String(Math.floor(sentAt.getTime() / 1000))
    const data = { from, to, text }
    const body = JSON.stringify({ type: 'message', timestamp: sentAt.toISOString(), data })
    // The bytes of UTF-8, as Node encodes headers as Latin-1.
    const webhookId = Buffer.from(id).toString('latin1')
    const signature = digest(createSecretKey(secret), webhookId, timestamp, body).toString('base64')
    const headers = {
      'content-type': 'application/json',
      'webhook-id': webhookId,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    }
    return { path: PATH, headers, body }
  },
})
