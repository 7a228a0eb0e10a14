import type { Static } from '@sinclair/typebox'
import { ref } from '../schemas/component.ts'
import { InboundMessage, SignatureHeaders, toStoredMessage } from '../schemas/webhook.ts'
import { SECRET } from '../setting.ts'
import { createVerifier, hexSignature, type SignatureVerifier } from './hmac.ts'
import { commonResponses, contentResponses, tooLarge } from './responses.ts'
import { defineSource, oneMessageLog, type Receiver } from './source.ts'

const PATH = '/webhook'

/** Maximum body in bytes; above the longest message with every character escaped as `\u…`. */
const BODY_LIMIT = 64 * 1024

const DESCRIPTION =
  'The signature is the HMAC-SHA256 of the raw body with the shared secret, in hex, with or without `sha256=`. If there is no response, or it is 408, 429 or 5xx, retry with the same bytes, with backoff and not before `Retry-After`. A message whose `message_id` is stored already is a duplicate: the response is 200, and nothing is stored. Do not retry 400, 413, 415 or 422: correct the request. 401 means that the secret is wrong.'

function receiverOf(verify: SignatureVerifier): Receiver {
  return {
    source: 'webhook',
    path: PATH,
    bodyLimit: BODY_LIMIT,
    rejectsContent: true,
    verify: (body, headers) => verify(body, headers['x-signature']),
    read: (message: Static<typeof InboundMessage>, createdAt) => ({
      messages: [toStoredMessage(message, createdAt)],
    }),
    log: oneMessageLog,
    schema: {
      tags: ['webhook'],
      operationId: 'postMessage',
      summary: 'Post a signed message',
      description: DESCRIPTION,
      consumes: ['application/json', 'application/*+json'],
      headers: SignatureHeaders,
      body: ref(InboundMessage),
      response: { ...commonResponses, ...contentResponses, 413: tooLarge('64 KiB') },
    },
  }
}

/** Receiver of `/webhook` while no source is configured; its route rejects every post with 503. */
export const unconfigured: Receiver = receiverOf(() => undefined)

/** The service's own format: one message in each body. */
export const webhook = defineSource({
  name: 'webhook',
  settings: {
    /** Secret of the signatures. Undefined if not set. */
    secret: {
      name: 'WEBHOOK_SECRET',
      description:
        'The secret of the HMAC-SHA256 signatures of `/webhook`. If no source has its secret, the service starts, logs a warning, is not ready and answers posts to `/webhook` with 503.',
      ...SECRET,
    },
    /** Undefined if not set; signatures made with it are still accepted. */
    previousSecret: {
      name: 'WEBHOOK_SECRET_PREVIOUS',
      description:
        'The former secret, still accepted: see [changing the secret](#changing-the-secret).',
      requires: 'WEBHOOK_SECRET',
      ...SECRET,
    },
  },
  createReceiver: ({ secret, previousSecret }) =>
    secret === undefined ? undefined : receiverOf(createVerifier(secret, previousSecret)),
  signSample: ({ secret }, { id, from, to, sentAt, text }) => {
    if (secret === undefined) return undefined
    const body = JSON.stringify({ message_id: id, from, to, ts: sentAt.toISOString(), text })
    const headers = {
      'content-type': 'application/json',
      'x-signature': hexSignature(secret, body),
    }
    return { path: PATH, headers, body }
  },
})
