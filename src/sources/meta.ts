import { Type } from '@sinclair/typebox'
import type { AppendOutcome } from '../db/message-store.ts'
import { problem, tooManyRequests } from '../schemas/problem.ts'
import { createSecretComparer } from '../secret-comparer.ts'
import { SECRET } from '../setting.ts'
import { createVerifier, hexSignature } from './hmac.ts'
import { NOT_STORED_KINDS, readMetaBody } from './meta-messages.ts'
import { commonResponses, tooLarge } from './responses.ts'
import { defineSource, type MessageLog, type Receiver } from './source.ts'

const PATH = '/webhook/meta'

/** Maximum body in bytes: Meta sends at most 3 MB. */
const BODY_LIMIT = 3 * 1024 * 1024

/** Maximum ids in a log line. */
const LOGGED_IDS = 10

const log: MessageLog = {
  received: ({ messages, notStored = {} }) => {
    const kinds = Object.entries(notStored)
    const isStatus = ([kind]: [string, number]) => kind.startsWith('status_')
    const others = Object.fromEntries(kinds.filter((one) => !isStatus(one)))
    return {
      messages: messages.length,
      statuses: kinds.filter(isStatus).reduce((sum, [, count]) => sum + count, 0),
      ...(Object.keys(others).length > 0 && { not_stored: others }),
      message_ids: messages.slice(0, LOGGED_IDS).map(({ message_id }) => message_id),
    }
  },
  stored: (outcomes) => {
    const count = (outcome: AppendOutcome) => outcomes.filter((one) => one === outcome).length
    return {
      created: count('created'),
      duplicate: count('duplicate'),
      conflicting: count('conflict'),
    }
  },
}

/** Returns the route by which Meta verifies the callback URL; without a token it always returns 403. */
function challengeOf(verifyToken: string | undefined): NonNullable<Receiver['challenge']> {
  const isToken = createSecretComparer(verifyToken === undefined ? [] : [verifyToken])
  return {
    respond: (query) => {
      const challenge = query['hub.challenge']
      const token = query['hub.verify_token']
      if (query['hub.mode'] !== 'subscribe' || typeof challenge !== 'string') return undefined
      return typeof token === 'string' && isToken(token) ? challenge : undefined
    },
    schema: {
      tags: ['webhook'],
      operationId: 'answerMetaChallenge',
      summary: 'Answer the challenge of a WhatsApp subscription',
      description:
        'Meta sends this request when the callback URL is set up. The response is `hub.challenge` if `hub.mode` is `subscribe` and `hub.verify_token` is the configured one.',
      response: {
        200: {
          description: 'The challenge.',
          content: { 'text/plain': { schema: Type.String() } },
        },
        403: problem('The token is not the configured one.', 'wrong verify token'),
        429: tooManyRequests,
      },
    },
  }
}

function receiverOf(
  secret: string,
  previousSecret: string | undefined,
  verifyToken: string | undefined,
): Receiver {
  const verify = createVerifier(secret, previousSecret)
  return {
    source: 'meta',
    path: PATH,
    bodyLimit: BODY_LIMIT,
    rejectsContent: false,
    verify: (body, headers) => verify(body, headers['x-hub-signature-256']),
    read: readMetaBody,
    notStoredKinds: NOT_STORED_KINDS,
    log,
    schema: {
      tags: ['webhook'],
      operationId: 'postMetaMessages',
      summary: 'Post messages of the WhatsApp Cloud API',
      description:
        'All messages of a body are stored before the response, in one transaction. Receipts and other updates are counted. A signed body is never rejected for its content, as Meta would send it again for seven days.',
      consumes: ['application/json'],
      headers: Type.Object({
        'x-hub-signature-256': Type.String({
          description:
            '`sha256=` and the HMAC-SHA256 of the raw body under the app secret, in hex.',
        }),
      }),
      response: { ...commonResponses, 413: tooLarge('3 MiB') },
    },
    challenge: challengeOf(verifyToken),
  }
}

/** The WhatsApp Cloud API of Meta: up to 1,000 updates in each body. */
export const meta = defineSource({
  name: 'meta',
  settings: {
    /** The app secret. Undefined if not set. */
    secret: {
      name: 'META_APP_SECRET',
      description: 'The app secret of a Meta app, which signs the posts to `/webhook/meta`.',
      ...SECRET,
    },
    /** Undefined if not set; signatures made with it are still accepted. */
    previousSecret: {
      name: 'META_APP_SECRET_PREVIOUS',
      description: 'The former app secret, still accepted.',
      requires: 'META_APP_SECRET',
      ...SECRET,
    },
    /** Undefined if not set; every challenge then gets 403. */
    verifyToken: {
      name: 'META_VERIFY_TOKEN',
      description:
        'The verify token, any text, that is entered in the Meta app together with the address of `/webhook/meta`.',
      requires: 'META_APP_SECRET',
      ...SECRET,
    },
  },
  createReceiver: ({ secret, previousSecret, verifyToken }) =>
    secret === undefined ? undefined : receiverOf(secret, previousSecret, verifyToken),
  signSample: ({ secret }, { id, from, to, sentAt, text }) => {
    if (secret === undefined) return undefined
    const sender = from.replace(/^\+/, '')
    const message = {
      from: sender,
      id,
      timestamp: String(Math.floor(sentAt.getTime() / 1000)),
      type: 'text',
      text: { body: text },
    }
    const value = {
      messaging_product: 'whatsapp',
      metadata: { display_phone_number: to.replace(/^\+/, ''), phone_number_id: '0' },
      contacts: [{ wa_id: sender, profile: { name: 'Test' } }],
      messages: [message],
    }
    const entry = [{ id: '0', changes: [{ field: 'messages', value }] }]
    const body = JSON.stringify({ object: 'whatsapp_business_account', entry })
    const headers = {
      'content-type': 'application/json',
      'x-hub-signature-256': `sha256=${hexSignature(secret, body)}`,
    }
    return { path: PATH, headers, body }
  },
})
