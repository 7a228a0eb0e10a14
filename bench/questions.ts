import Database from 'better-sqlite3'
import { fold } from '../src/db/fold.ts'
import { instantKey } from '../src/db/instant.ts'
import { senderOf, sendersOf } from './corpus.ts'
import type { CorpusFile } from './corpus-file.ts'
import { COMMON_WORD, RARE_WORD } from './words.ts'

/** What `GET /messages` is asked for. */
export interface Filter {
  limit: number
  offset?: number
  from?: string
  since?: string
  q?: string
}

/** What a question promises, against the same question on the smallest file, another one, or the clock. */
export type Promised =
  | { kind: 'of smallest'; atMost: number }
  | { kind: 'of first page'; atMost: number }
  | { kind: 'milliseconds'; under: number }

/** A question of a dashboard. */
export interface Question {
  name: string
  promised: Promised
  /** Undefined for the statistics. */
  filter: (file: CorpusFile) => Filter | undefined
}

const PAGE = 50
const TWICE: Promised = { kind: 'of smallest', atMost: 2 }

/** The instant of the message in the middle; they were written in about the order of their instants. */
function instantHalfWay({ path, messages }: CorpusFile): string {
  const file = new Database(path, { readonly: true })
  try {
    const statement = file.prepare<[number], string>('select ts from messages where seq = ?')
    const ts = statement.pluck().get(messages >> 1)
    if (ts === undefined) throw new Error(`${path} has no message in its middle`)
    return ts
  } finally {
    file.close()
  }
}

/** A sender in the middle of the ranks, who wrote little. */
const usualSender = ({ messages }: CorpusFile) => senderOf(sendersOf(messages) >> 1)

/** The questions of the table, the first page first. */
export const QUESTIONS: Question[] = [
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
    name: 'total since half-way',
    promised: TWICE,
    filter: (file) => ({ limit: 1, since: instantHalfWay(file) }),
  },
  {
    name: 'total from the busiest sender',
    promised: TWICE,
    filter: () => ({ limit: 1, from: senderOf(0) }),
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
]

/** The path that asks for it. */
export function pathOf(filter: Filter | undefined): string {
  if (!filter) return '/stats'
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
export function matcher({ from, since, q }: Filter): (row: PlainRow) => boolean {
  const earliest = since === undefined ? undefined : instantKey(since)
  const needle = q === undefined ? undefined : fold(q)
  return (row) =>
    (from === undefined || row.from_msisdn === from) &&
    (earliest === undefined || (instantKey(row.ts) ?? '') >= earliest) &&
    (needle === undefined || (row.text !== null && fold(row.text).includes(needle)))
}
