import { parseConfig } from '../../src/config.ts'
import { SOURCES } from '../../src/sources/all.ts'
import type { SignedPost } from '../../src/sources/source.ts'
import { SECRET } from '../service.ts'
import { APP_SECRET, bodyOf, messagesChange, metaHeaders, textMessage } from './meta-bodies.ts'

/** Secret of Standard Webhooks in tests. */
export const STANDARD_SECRET = `whsec_${Buffer.alloc(32, 'key').toString('base64')}`

/** Settings that configure every source. */
export const ALL_SOURCES = {
  WEBHOOK_SECRET: SECRET,
  META_APP_SECRET: APP_SECRET,
  STANDARD_WEBHOOKS_SECRET: STANDARD_SECRET,
}

const { sources } = parseConfig(ALL_SOURCES)

/** Suffixes of the ids of the messages in a body of Meta. */
const SUFFIXES = ['', '/b', '/c']

/** Returns the ids of all messages that are stored or not stored together with a message of `postOfSources`. */
export function siblingsOf(id: string): string[] {
  const [, first = ''] = /^(meta-[^/]*)/.exec(id) ?? []
  return first === '' ? [id] : SUFFIXES.map((suffix) => first + suffix)
}

function signed(id: string): SignedPost {
  if (id.startsWith('meta-')) {
    const body = bodyOf(messagesChange(siblingsOf(id).map((each) => textMessage(each))))
    return { path: '/webhook/meta', headers: metaHeaders(body), body }
  }
  const source = SOURCES.find(({ name }) => id.startsWith(`${name}-`))
  const message = { id, from: '+1', to: '+2', sentAt: new Date(), text: 'Hello' }
  const post = source?.signSample(sources[source.name], message)
  if (!post) throw new Error(`no source for ${id}`)
  return post
}

/** Returns the id of the message with this number: each source in turn. */
export function idOfSource(number: number): string {
  return `${SOURCES[number % SOURCES.length]?.name}-${number}`
}

/** Returns a signed post of the source that the id begins with, as the text of an HTTP request. */
export function postOfSources(id: string): string {
  const { path, headers, body } = signed(id)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${path} HTTP/1.1\r\nHost: x\r\n${lines.join('')}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}
