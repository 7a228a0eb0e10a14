import Database from 'better-sqlite3'
import type { CorpusFile } from './corpus-file.ts'
import {
  type Filter,
  type MessageRow,
  matcher,
  pathOf,
  type ReadRequest,
  sortKeyOf,
} from './queries.ts'

/** A request and the body of its response. */
export interface QueryResponse {
  request: ReadRequest
  body: string
}

interface PageBody {
  data: MessageRow[]
  total: number
}

interface StatsBody {
  total_messages: number
  senders_count: number
  messages_per_sender: { from: string; count: number }[]
  first_message_ts: string | null
  last_message_ts: string | null
}

/** Incremental check of a response against every row of the file. */
interface Check {
  /** Processes the next row of the file. */
  add(row: MessageRow): void
  /** Returns the differences, after the last row. */
  error(): string | undefined
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/**
 * Checks the total, the order and the position of a page.
 * The position is right if its first and last row have the right number of matching rows before them.
 */
function checkPage(filter: Filter, { data, total }: PageBody): Check {
  const matches = matcher(filter)
  const keys = data.map(sortKeyOf)
  const first = keys[0] ?? ''
  const last = keys.at(-1) ?? ''
  const offset = filter.offset ?? 0
  const ordered = keys.every((key, at) => at === 0 || (keys[at - 1] ?? '') < key)
  let count = 0
  let beforeFirst = 0
  let beforeLast = 0
  return {
    add(row) {
      if (!matches(row)) return
      count++
      const key = sortKeyOf(row)
      if (key < first) beforeFirst++
      if (key < last) beforeLast++
    },
    error() {
      if (total !== count) return `total is ${total}, the recount is ${count}`
      const expected = Math.max(0, Math.min(filter.limit, count - offset))
      if (data.length !== expected) return `${data.length} rows on the page, not ${expected}`
      if (!ordered || !data.every(matches))
        return 'rows do not match the filter, or are in the wrong order'
      if (data.length === 0) return undefined
      if (beforeFirst === offset && beforeLast === offset + data.length - 1) return undefined
      return `the page is from row ${beforeFirst} to row ${beforeLast}`
    },
  }
}

/** Converts a single message to a page of one row. */
function pageIn({ id }: Filter, body: PageBody | MessageRow): PageBody {
  if ('data' in body) return body
  return { data: [body], total: body.message_id === id ? 1 : 0 }
}

function checkStats(body: StatsBody): Check {
  const senders = new Map<string, number>()
  let count = 0
  let earliest: { key: string; ts: string | null } = { key: '\uffff', ts: null }
  let latest: { key: string; ts: string | null } = { key: '', ts: null }
  return {
    add(row) {
      count++
      senders.set(row.from_msisdn, (senders.get(row.from_msisdn) ?? 0) + 1)
      const key = sortKeyOf(row)
      if (key < earliest.key) earliest = { key, ts: row.ts }
      if (key > latest.key) latest = { key, ts: row.ts }
    },
    error() {
      const top = [...senders]
        .sort(([a, n], [b, m]) => m - n || compare(a, b))
        .slice(0, 10)
        .map(([from, count]) => ({ from, count }))
      const expected: StatsBody = {
        total_messages: count,
        senders_count: senders.size,
        messages_per_sender: top,
        first_message_ts: earliest.ts,
        last_message_ts: latest.ts,
      }
      const found = JSON.stringify(body)
      return found === JSON.stringify(expected)
        ? undefined
        : `${found}, the recount is ${JSON.stringify(expected)}`
    },
  }
}

function checkOf({ request, body }: QueryResponse): Check {
  if (!request) return checkStats(JSON.parse(body))
  if ('path' in request) return { add: () => undefined, error: () => request.check(body) }
  return checkPage(request, pageIn(request, JSON.parse(body)))
}

/** Compares responses with a recount of all rows of the file. @returns every difference. */
export function recount(file: CorpusFile, responses: readonly QueryResponse[]): string[] {
  const checks = responses.map((response) => ({
    name: `${pathOf(response.request)} on ${file.messages} messages`,
    check: checkOf(response),
  }))
  const database = new Database(file.path, { readonly: true })
  const rows = database
    .prepare<[], MessageRow>('select message_id, from_msisdn, to_msisdn, ts, text from messages')
    .iterate()
  for (const row of rows) for (const { check } of checks) check.add(row)
  database.close()
  return checks.flatMap(({ name, check }) => {
    const error = check.error()
    return error === undefined ? [] : [`${name}: ${error}`]
  })
}
