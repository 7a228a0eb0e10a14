import type { IncomingHttpHeaders } from 'node:http'
import type { FastifySchema } from 'fastify'
import type { AppendOutcome } from '../db/message-store.ts'
import type { NewMessage } from '../message/message.ts'
import type { Setting, SettingValues } from '../setting.ts'

/** Secret that made a signature: the current one, or a previous one that is still accepted. */
export type SigningKey = 'current' | 'previous'

/** The content of a verified body. */
export interface Received {
  messages: readonly NewMessage[]
  /** Number of items that are not stored, such as delivery receipts, by kind; see `notStoredKinds`. */
  notStored?: Readonly<Record<string, number>>
}

/**
 * The fields of a request's log line that depend on its messages.
 * They must not contain texts or phone numbers.
 */
export interface MessageLog {
  /** Returns the fields that are known before the messages are stored. */
  received(received: Received): object
  /** Returns the fields that are known once the messages are stored. */
  stored(outcomes: readonly AppendOutcome[]): object
}

/** The log fields of a source that sends one message in each body. */
export const oneMessageLog: MessageLog = {
  received: ({ messages: [message] }) => ({ message_id: message?.message_id }),
  stored: ([outcome]) =>
    outcome === 'conflict' ? { dup: true, conflict: true } : { dup: outcome !== 'created' },
}

/** Endpoint of a configured source; verifies, reads, documents and logs its posts. */
export interface Receiver {
  /** Name of the source: the value of `source` in messages, metrics and filters. */
  readonly source: string
  /** Path of its route. */
  readonly path: string
  /** Maximum body in bytes. */
  readonly bodyLimit: number
  /** Returns the secret that signed the raw bytes of a body, or undefined if the signature is invalid. */
  verify(body: Uint8Array, headers: IncomingHttpHeaders): SigningKey | undefined
  /**
   * Whether a signed body that is compressed, not JSON or invalid under the schema is rejected.
   * Otherwise it is accepted, so that the sender does not retry: `read` is called with any JSON, or with undefined.
   */
  readonly rejectsContent: boolean
  /** Returns the value that the schema of the body validates, such as the message within an envelope. */
  unwrap?(value: unknown, headers: IncomingHttpHeaders): unknown
  /** Returns the content of a valid body. @param createdAt time at which it is stored, in UTC. */
  read(body: unknown, createdAt: string): Received
  /** All kinds of items that `read` does not store. */
  readonly notStoredKinds?: readonly string[]
  readonly log: MessageLog
  /** Schema of `POST`: the documentation, the responses, and the body if it is validated. */
  readonly schema: FastifySchema
  /** Route of `GET` on the same path, by which a sender verifies the endpoint before it posts. */
  readonly challenge?: {
    /** Returns the body of the 200, or undefined for a 403. */
    respond(query: Readonly<Record<string, unknown>>): string | undefined
    readonly schema: FastifySchema
  }
}

/** A test message, before a source formats it. */
export interface SampleMessage {
  id: string
  /** Phone numbers, `+` and digits. */
  from: string
  to: string
  sentAt: Date
  text: string
}

/** A signed request of a sender. */
export interface SignedPost {
  path: string
  headers: Readonly<Record<string, string>>
  body: string
}

/** A format in which senders post messages. */
export interface Source<
  Name extends string = string,
  Settings extends Record<string, Setting> = Record<string, Setting>,
> {
  /** The value of `source` in messages, metrics and filters. */
  readonly name: Name
  /** Its settings; the source is configured if `createReceiver` returns a receiver. */
  readonly settings: Settings
  /** Returns its receiver, or undefined if the source is not configured. */
  createReceiver(values: SettingValues<Settings>): Receiver | undefined
  /** Returns a post of this message as a sender signs it, or undefined if the source is not configured. */
  signSample(values: SettingValues<Settings>, message: SampleMessage): SignedPost | undefined
}

/** Declares a source, with the types of its settings. */
export function defineSource<
  const Name extends string,
  const Settings extends Record<string, Setting>,
>(source: Source<Name, Settings>): Source<Name, Settings> {
  return source
}
