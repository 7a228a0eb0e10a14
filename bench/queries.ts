import Database from 'better-sqlite3'
import { fold } from '../src/message/fold.ts'
import { instantKey } from '../src/message/instant.ts'
import { senderOf, sendersOf } from '../tools/corpus.ts'
import { COMMON_WORD, RARE_WORD } from '../tools/words.ts'
import type { CorpusFile } from './corpus-file.ts'

/** The parameters of a query. */
export interface Filter {
  /** Id of a single message, for `GET /messages/{message_id}`. */
  id?: string
  limit: number
  offset?: number
  from?: string
  to?: string
  since?: string
  until?: string
  q?: string
}

/** The target of a query: relative to the smallest file or to the first page, or absolute. */
export type Target =
  | { kind: 'of smallest'; atMost: number }
  | { kind: 'of first page'; atMost: number }
  | { kind: 'milliseconds'; under: number }
  /** No target: the latency is only reported. */
  | { kind: 'nothing' }

/** A query that is measured, and its target. */
export interface BenchQuery {
  name: string
  target: Target
  /** Returns the request for a file. */
  request: (file: CorpusFile) => ReadRequest
}

/** A request that has its own check. */
export interface CheckedPath {
  path: string
  /** Returns the difference between a response and a recount; undefined if there is none. */
  check: (body: string) => string | undefined
}

/** A request: the parameters of a query for messages, or undefined for the statistics. */
export type ReadRequest = Filter | CheckedPath | undefined

/** Messages or senders per page. */
export const PAGE = 50
export const CONSTANT: Target = { kind: 'of smallest', atMost: 2 }
export const NO_TARGET: Target = { kind: 'nothing' }

/** Returns the message in the middle of the file, whose rows are in about the order of instants. */
function messageHalfWay({ path, messages }: CorpusFile): MessageRow {
  const file = new Database(path, { readonly: true })
  try {
    const row = file
      .prepare<[number], MessageRow>(
        'select message_id, from_msisdn, to_msisdn, ts, text from messages where seq = ?',
      )
      .get(messages >> 1)
    if (row === undefined) throw new Error(`${path} has no message in its middle`)
    return row
  } finally {
    file.close()
  }
}

/** Returns the timestamp of the message in the middle of the file. */
export const instantHalfWay = (file: CorpusFile) => messageHalfWay(file).ts

/** Returns the sender of median rank, with few messages. */
export const usualSender = ({ messages }: CorpusFile) => senderOf(sendersOf(messages) >> 1)

/** The queries that are measured. The first page comes first, as others are compared with it. */
export const QUERIES: BenchQuery[] = [
  { name: 'first page', target: CONSTANT, request: () => ({ limit: PAGE }) },
  {
    name: "the busiest sender's first page",
    target: CONSTANT,
    request: () => ({ limit: PAGE, from: senderOf(0) }),
  },
  {
    name: "a usual sender's first page",
    target: CONSTANT,
    request: (file) => ({ limit: PAGE, from: usualSender(file) }),
  },
  {
    name: 'page at offset 900,000, or nine tenths',
    target: { kind: 'of first page', atMost: 5 },
    request: ({ messages }) => ({ limit: PAGE, offset: Math.min(900_000, messages * 0.9) }),
  },
  {
    name: "the busiest sender's page at offset 500",
    target: CONSTANT,
    request: () => ({ limit: PAGE, from: senderOf(0), offset: 500 }),
  },
  {
    name: "the busiest sender's page at a third of theirs",
    target: NO_TARGET,
    request: ({ messages }) => ({ limit: PAGE, from: senderOf(0), offset: messages / 40 }),
  },
  {
    name: 'first page since half-way',
    target: CONSTANT,
    request: (file) => ({ limit: PAGE, since: instantHalfWay(file) }),
  },
  {
    name: 'first page until half-way',
    target: CONSTANT,
    request: (file) => ({ limit: PAGE, until: instantHalfWay(file) }),
  },
  {
    name: 'total since half-way',
    target: CONSTANT,
    request: (file) => ({ limit: 1, since: instantHalfWay(file) }),
  },
  {
    name: 'total from the busiest sender',
    target: CONSTANT,
    request: () => ({ limit: 1, from: senderOf(0) }),
  },
  {
    name: 'total from the busiest sender since half-way',
    target: NO_TARGET,
    request: (file) => ({ limit: 1, from: senderOf(0), since: instantHalfWay(file) }),
  },
  {
    name: 'total from a usual sender until half-way',
    target: CONSTANT,
    request: (file) => ({ limit: 1, from: usualSender(file), until: instantHalfWay(file) }),
  },
  {
    name: 'first page to one recipient of ten',
    target: NO_TARGET,
    request: (file) => ({ limit: PAGE, to: messageHalfWay(file).to_msisdn }),
  },
  {
    name: 'one message by its id',
    target: CONSTANT,
    request: (file) => ({ limit: 1, id: messageHalfWay(file).message_id }),
  },
  { name: 'statistics', target: CONSTANT, request: () => undefined },
  {
    name: `q: a rare word (${RARE_WORD})`,
    target: { kind: 'milliseconds', under: 50 },
    request: () => ({ limit: PAGE, q: RARE_WORD }),
  },
  {
    name: `q: a word in half the messages (${COMMON_WORD})`,
    target: { kind: 'milliseconds', under: 1000 },
    request: () => ({ limit: PAGE, q: COMMON_WORD }),
  },
  {
    name: 'q: the rare word since half-way',
    target: { kind: 'milliseconds', under: 50 },
    request: (file) => ({ limit: PAGE, q: RARE_WORD, since: instantHalfWay(file) }),
  },
  {
    name: 'q: the common word since half-way',
    target: NO_TARGET,
    request: (file) => ({ limit: PAGE, q: COMMON_WORD, since: instantHalfWay(file) }),
  },
  {
    name: 'q: the common word at offset 400,000, or four tenths',
    target: NO_TARGET,
    request: ({ messages }) => ({
      limit: PAGE,
      q: COMMON_WORD,
      offset: Math.min(400_000, messages * 0.4),
    }),
  },
  {
    name: 'q: the common word from the busiest sender',
    target: NO_TARGET,
    request: () => ({ limit: PAGE, q: COMMON_WORD, from: senderOf(0) }),
  },
  {
    name: 'q: the common word from a usual sender',
    target: { kind: 'milliseconds', under: 50 },
    request: (file) => ({ limit: PAGE, q: COMMON_WORD, from: usualSender(file) }),
  },
  {
    name: `q: one character (${COMMON_WORD.slice(0, 1)})`,
    target: NO_TARGET,
    request: () => ({ limit: PAGE, q: COMMON_WORD.slice(0, 1) }),
  },
  {
    name: `q: two characters (${COMMON_WORD.slice(0, 2)})`,
    target: NO_TARGET,
    request: () => ({ limit: PAGE, q: COMMON_WORD.slice(0, 2) }),
  },
]

/** Returns the URL path of a request. */
export function pathOf(request: ReadRequest): string {
  if (!request) return '/stats'
  if ('path' in request) return request.path
  if (request.id !== undefined) return `/messages/${request.id}`
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(request)) search.set(name, String(value))
  return `/messages?${search}`
}

/** The fields of a stored message that filters and orders use. */
export interface MessageRow {
  message_id: string
  from_msisdn: string
  to_msisdn: string
  ts: string
  text: string | null
}

/**
 * Returns a string that sorts in the order of pages.
 * Ids of the corpus are ASCII, so that strings compare as their bytes do.
 */
export function sortKeyOf({ ts, message_id }: MessageRow): string {
  return `${instantKey(ts) ?? ''} ${message_id}`
}

/** Returns a predicate for the rows that match a filter, implemented independently of the service. */
export function matcher({ id, from, to, since, until, q }: Filter): (row: MessageRow) => boolean {
  const earliest = since === undefined ? undefined : instantKey(since)
  const end = until === undefined ? undefined : instantKey(until)
  const needle = q === undefined ? undefined : fold(q)
  return (row) =>
    (id === undefined || row.message_id === id) &&
    (from === undefined || row.from_msisdn === from) &&
    (to === undefined || row.to_msisdn === to) &&
    (earliest === undefined || (instantKey(row.ts) ?? '') >= earliest) &&
    (end === undefined || (instantKey(row.ts) ?? '') < end) &&
    (needle === undefined || (row.text !== null && fold(row.text).includes(needle)))
}
