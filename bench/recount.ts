import Database from 'better-sqlite3'
import type { CorpusFile } from './corpus-file.ts'
import { type Filter, matcher, type PlainRow, pathOf, placeOf } from './queries.ts'

/** What was asked and what the service said, as text. */
export interface Said {
  filter: Filter | undefined
  body: string
}

interface PageAnswer {
  data: PlainRow[]
  total: number
}

interface StatsAnswer {
  total_messages: number
  senders_count: number
  messages_per_sender: { from: string; count: number }[]
  first_message_ts: string | null
  last_message_ts: string | null
}

/** Takes every row of a file, then tells what was wrong with an answer. */
interface Check {
  take(row: PlainRow): void
  wrong(): string | undefined
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** A page is right when its total is, and its first and last row have just as many matching rows before them. */
function checkPage(filter: Filter, { data, total }: PageAnswer): Check {
  const matches = matcher(filter)
  const places = data.map(placeOf)
  const first = places[0] ?? ''
  const last = places.at(-1) ?? ''
  const offset = filter.offset ?? 0
  const ordered = places.every((place, at) => at === 0 || (places[at - 1] ?? '') < place)
  let count = 0
  let beforeFirst = 0
  let beforeLast = 0
  return {
    take(row) {
      if (!matches(row)) return
      count++
      const place = placeOf(row)
      if (place < first) beforeFirst++
      if (place < last) beforeLast++
    },
    wrong() {
      if (total !== count) return `total is ${total}, a recount finds ${count}`
      const expected = Math.max(0, Math.min(filter.limit, count - offset))
      if (data.length !== expected) return `${data.length} rows on the page, not ${expected}`
      if (!ordered || !data.every(matches)) return 'rows that do not match, or in another order'
      if (data.length === 0) return undefined
      if (beforeFirst === offset && beforeLast === offset + data.length - 1) return undefined
      return `the page begins at ${beforeFirst} and ends at ${beforeLast}`
    },
  }
}

/** A single message as a page of one. */
function pageIn({ id }: Filter, answer: PageAnswer | PlainRow): PageAnswer {
  if ('data' in answer) return answer
  return { data: [answer], total: answer.message_id === id ? 1 : 0 }
}

function checkStats(answer: StatsAnswer): Check {
  const senders = new Map<string, number>()
  let count = 0
  let earliest: { place: string; ts: string | null } = { place: '\uffff', ts: null }
  let latest: { place: string; ts: string | null } = { place: '', ts: null }
  return {
    take(row) {
      count++
      senders.set(row.from_msisdn, (senders.get(row.from_msisdn) ?? 0) + 1)
      const place = placeOf(row)
      if (place < earliest.place) earliest = { place, ts: row.ts }
      if (place > latest.place) latest = { place, ts: row.ts }
    },
    wrong() {
      const top = [...senders]
        .sort(([a, n], [b, m]) => m - n || compare(a, b))
        .slice(0, 10)
        .map(([from, count]) => ({ from, count }))
      const expected: StatsAnswer = {
        total_messages: count,
        senders_count: senders.size,
        messages_per_sender: top,
        first_message_ts: earliest.ts,
        last_message_ts: latest.ts,
      }
      const found = JSON.stringify(answer)
      return found === JSON.stringify(expected)
        ? undefined
        : `${found}, a recount finds ${JSON.stringify(expected)}`
    },
  }
}

/** Compares the answers with a plain recount of the file's rows, and tells every difference. */
export function recount(file: CorpusFile, said: readonly Said[]): string[] {
  const checks = said.map(({ filter, body }) => ({
    name: `${pathOf(filter)} on ${file.messages} messages`,
    check: filter
      ? checkPage(filter, pageIn(filter, JSON.parse(body)))
      : checkStats(JSON.parse(body)),
  }))
  const database = new Database(file.path, { readonly: true })
  const rows = database
    .prepare<[], PlainRow>('select message_id, from_msisdn, ts, text from messages')
    .iterate()
  for (const row of rows) for (const { check } of checks) check.take(row)
  database.close()
  return checks.flatMap(({ name, check }) => {
    const wrong = check.wrong()
    return wrong === undefined ? [] : [`${name}: ${wrong}`]
  })
}
