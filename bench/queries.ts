import Database from 'better-sqlite3'
import { fold } from '../src/message/fold.ts'
import { instantKey } from '../src/message/instant.ts'
import { senderOf, sendersOf } from '../tools/corpus.ts'
import { COMMON_WORD, RARE_WORD } from '../tools/words.ts'
import type { CorpusFile } from './corpus-file.ts'

/** What `GET /messages` is asked for. */
export interface Filter {
  /** Asks for this message alone. */
  id?: string
  limit: number
  offset?: number
  from?: string
  since?: string
  until?: string
  q?: string
}

/** What a question promises, against the same question on the smallest file, another one, or the clock. */
export type Promised =
  | { kind: 'of smallest'; atMost: number }
  | { kind: 'of first page'; atMost: number }
  | { kind: 'milliseconds'; under: number }
  /** Nothing: what it costs is stated in the table. */
  | { kind: 'nothing' }

/** A question of a dashboard. */
export interface BenchQuery {
  name: string
  promised: Promised
  /** Undefined for the statistics. */
  filter: (file: CorpusFile) => Filter | undefined
}

const PAGE = 50
const TWICE: Promised = { kind: 'of smallest', atMost: 2 }
const STATED: Promised = { kind: 'nothing' }

/** The message in the middle; they were written in about the order of their instants. */
function messageHalfWay({ path, messages }: CorpusFile): PlainRow {
  const file = new Database(path, { readonly: true })
  try {
    const row = file
      .prepare<[number], PlainRow>(
        'select message_id, from_msisdn, ts, text from messages where seq = ?',
      )
      .get(messages >> 1)
    if (row === undefined) throw new Error(`${path} has no message in its middle`)
    return row
  } finally {
    file.close()
  }
}

const instantHalfWay = (file: CorpusFile) => messageHalfWay(file).ts

/** A sender in the middle of the ranks, who wrote little. */
const usualSender = ({ messages }: CorpusFile) => senderOf(sendersOf(messages) >> 1)

/** The questions of the table, the first page first. */
export const QUERIES: BenchQuery[] = [
  { name: 'first page', promised: TWICE, filter: () => ({ limit: PAGE }) },
  {
    name: "the busiest sender's first page",
    promised: TWICE,
    filter: () => ({ limit: PAGE, from: senderOf(0) }),
  },
  {
    name: "a usual sender's first page",
    promised: TWICE,
    filter: (file) => ({ limit: PAGE, from: usualSender(file) }),
  },
  {
    name: 'page at offset 900,000, or nine tenths',
    promised: { kind: 'of first page', atMost: 5 },
    filter: ({ messages }) => ({ limit: PAGE, offset: Math.min(900_000, messages * 0.9) }),
  },
  {
    name: "the busiest sender's page at offset 500",
    promised: TWICE,
    filter: () => ({ limit: PAGE, from: senderOf(0), offset: 500 }),
  },
  {
    name: "the busiest sender's page at a third of theirs",
    promised: STATED,
    filter: ({ messages }) => ({ limit: PAGE, from: senderOf(0), offset: messages / 40 }),
  },
  {
    name: 'first page since half-way',
    promised: TWICE,
    filter: (file) => ({ limit: PAGE, since: instantHalfWay(file) }),
  },
  {
    name: 'first page until half-way',
    promised: TWICE,
    filter: (file) => ({ limit: PAGE, until: instantHalfWay(file) }),
  },
  {
    name: 'total since half-way',
    promised: TWICE,
    filter: (file) => ({ limit: 1, since: instantHalfWay(file) }),
  },
  {
    name: 'total from the busiest sender',
    promised: TWICE,
    filter: () => ({ limit: 1, from: senderOf(0) }),
  },
  {
    name: 'total from the busiest sender since half-way',
    promised: STATED,
    filter: (file) => ({ limit: 1, from: senderOf(0), since: instantHalfWay(file) }),
  },
  {
    name: 'total from a usual sender until half-way',
    promised: TWICE,
    filter: (file) => ({ limit: 1, from: usualSender(file), until: instantHalfWay(file) }),
  },
  {
    name: 'one message by its id',
    promised: TWICE,
    filter: (file) => ({ limit: 1, id: messageHalfWay(file).message_id }),
  },
  { name: 'statistics', promised: TWICE, filter: () => undefined },
  {
    name: `q: a rare word (${RARE_WORD})`,
    promised: { kind: 'milliseconds', under: 50 },
    filter: () => ({ limit: PAGE, q: RARE_WORD }),
  },
  {
    name: `q: a word in half the messages (${COMMON_WORD})`,
    promised: { kind: 'milliseconds', under: 1000 },
    filter: () => ({ limit: PAGE, q: COMMON_WORD }),
  },
  {
    name: 'q: the rare word since half-way',
    promised: { kind: 'milliseconds', under: 50 },
    filter: (file) => ({ limit: PAGE, q: RARE_WORD, since: instantHalfWay(file) }),
  },
  {
    name: 'q: the common word since half-way',
    promised: STATED,
    filter: (file) => ({ limit: PAGE, q: COMMON_WORD, since: instantHalfWay(file) }),
  },
  {
    name: 'q: the common word at offset 400,000, or four tenths',
    promised: STATED,
    filter: ({ messages }) => ({
      limit: PAGE,
      q: COMMON_WORD,
      offset: Math.min(400_000, messages * 0.4),
    }),
  },
  {
    name: 'q: the common word from the busiest sender',
    promised: STATED,
    filter: () => ({ limit: PAGE, q: COMMON_WORD, from: senderOf(0) }),
  },
  {
    name: 'q: the common word from a usual sender',
    promised: { kind: 'milliseconds', under: 50 },
    filter: (file) => ({ limit: PAGE, q: COMMON_WORD, from: usualSender(file) }),
  },
  {
    name: `q: one character (${COMMON_WORD.slice(0, 1)})`,
    promised: STATED,
    filter: () => ({ limit: PAGE, q: COMMON_WORD.slice(0, 1) }),
  },
  {
    name: `q: two characters (${COMMON_WORD.slice(0, 2)})`,
    promised: STATED,
    filter: () => ({ limit: PAGE, q: COMMON_WORD.slice(0, 2) }),
  },
]

/** The path that asks for it. */
export function pathOf(filter: Filter | undefined): string {
  if (!filter) return '/stats'
  if (filter.id !== undefined) return `/messages/${filter.id}`
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(filter)) search.set(name, String(value))
  return `/messages?${search}`
}

/** A stored message as far as filters and orders look at it. */
export interface PlainRow {
  message_id: string
  from_msisdn: string
  ts: string
  text: string | null
}

/** The place of a row in the order of pages, in a form that compares like it: ids here are ASCII. */
export function placeOf({ ts, message_id }: PlainRow): string {
  return `${instantKey(ts) ?? ''} ${message_id}`
}

/** A plain reading of the filter: whether a row matches it. */
export function matcher({ id, from, since, until, q }: Filter): (row: PlainRow) => boolean {
  const earliest = since === undefined ? undefined : instantKey(since)
  const end = until === undefined ? undefined : instantKey(until)
  const needle = q === undefined ? undefined : fold(q)
  return (row) =>
    (id === undefined || row.message_id === id) &&
    (from === undefined || row.from_msisdn === from) &&
    (earliest === undefined || (instantKey(row.ts) ?? '') >= earliest) &&
    (end === undefined || (instantKey(row.ts) ?? '') < end) &&
    (needle === undefined || (row.text !== null && fold(row.text).includes(needle)))
}
