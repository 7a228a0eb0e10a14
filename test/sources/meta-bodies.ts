import { sign } from '../service.ts'

/** App secret in tests. */
export const APP_SECRET = 'app secret'

/** Verify token in tests. */
export const VERIFY_TOKEN = 'verify me'

/** Recipient of all messages, as Meta shows it. */
export const METADATA = { display_phone_number: '+1 415-555-0100', phone_number_id: '106' }

/** Returns the JSON of a body with these changes, each in an entry of its own. */
export function bodyOf(...changes: unknown[]): string {
  return JSON.stringify({
    object: 'whatsapp_business_account',
    entry: changes.map((change) => ({ id: '0', changes: [change] })),
  })
}

/** Returns a change that brings messages. */
export function messagesChange(messages: unknown, rest: object = {}) {
  return {
    field: 'messages',
    value: { messaging_product: 'whatsapp', metadata: METADATA, messages, ...rest },
  }
}

/** Returns a text message. */
export function textMessage(id: string, body = 'Hello', rest: object = {}) {
  return {
    from: '919876543210',
    id,
    timestamp: '1736935200',
    type: 'text',
    text: { body },
    ...rest,
  }
}

/** Returns the headers of a body signed by Meta. */
export function metaHeaders(body: string | Buffer, secret = APP_SECRET): Record<string, string> {
  return {
    'content-type': 'application/json',
    'x-hub-signature-256': `sha256=${sign(body, secret)}`,
  }
}
