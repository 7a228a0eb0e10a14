import { styleText } from 'node:util'
import { loadConfig } from '../config.ts'
import type { FeedFilter } from '../message/filter.ts'
import { DEFAULT_DETAILS, type MessageWithDetails } from '../message/message.ts'
import type { DevelopmentOption } from './database.ts'
import { FeedClient } from './feed-client.ts'
import { configuredOrigin, parseOrigin } from './origin.ts'
import { writeOutput } from './output.ts'

/** Options of the command, with filters as given. */
export interface TailOptions extends DevelopmentOption, Partial<Record<keyof FeedFilter, string>> {
  url?: string
  cursor?: string
  all?: boolean
  json?: boolean
}

/** Control characters, line separators and overrides of the text direction. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** Returns a text on one line that cannot control a terminal. */
function escapeControls(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(4, '0')
    return SHORT_ESCAPES[character] ?? `\\u${code}`
  })
}

/** Returns the line of a message, in color if standard output is a terminal with colors. */
function formatMessage(json: string): string {
  const { ts, from_msisdn, to_msisdn, type, text }: MessageWithDetails = JSON.parse(json)
  const [from, to, kind] = [from_msisdn, to_msisdn, type].map(escapeControls)
  const parts = [styleText('dim', ts), styleText('cyan', `${from} → ${to}`)]
  if (type !== DEFAULT_DETAILS.type) parts.push(styleText('yellow', `[${kind}]`))
  if (text !== null) parts.push(escapeControls(text))
  return parts.join(' ')
}

function warn(text: string): void {
  process.stderr.write(`lyftr-webhook: ${escapeControls(text)}\n`)
}

/** Yields the output for the events of each chunk. */
async function* linesOf(client: FeedClient, json: boolean): AsyncGenerator<string, void> {
  for await (const events of client.events()) {
    const lines = events.map(({ event, data }) => {
      if (event === undefined) return `${json ? data : formatMessage(data)}\n`
      if (event === 'reset') {
        warn('messages after the cursor were removed; continuing with the oldest message')
      }
      return ''
    })
    const output = lines.join('')
    if (output !== '') yield output
  }
}

/** Returns the URL of the feed for these options. @throws Error if `url` is not an origin. */
function feedUrl(origin: string, { from, to, source, type, q, cursor, all }: TailOptions): URL {
  const after = all || cursor !== undefined ? undefined : 'now'
  const url = new URL('/feed', origin)
  for (const [name, value] of Object.entries({ from, to, source, type, q, cursor, after })) {
    if (value !== undefined) url.searchParams.set(name, value)
  }
  return url
}

/**
 * Prints messages as the service stores them, until SIGINT or until the reader closes the pipe.
 * @throws Error if an option is invalid, or the service rejects the request.
 */
export async function run(options: TailOptions): Promise<void> {
  const config = loadConfig({ development: options.dev ?? false })
  const origin = options.url === undefined ? configuredOrigin(config) : parseOrigin(options.url)
  const stop = new AbortController()
  const end = () => stop.abort()
  process.once('SIGINT', end)
  // Without this, the client would stay connected after the pipe has closed.
  process.stdout.once('error', end)
  const [token] = config.apiTokens
  const client = new FeedClient(feedUrl(origin, options), token, stop.signal, (reason) =>
    warn(`${reason}; trying again`),
  )
  await writeOutput(linesOf(client, options.json ?? false))
}
