import Database from 'better-sqlite3'
import { instantKey } from '../src/message/instant.ts'
import { type SenderOrder, writeSenderCursor } from '../src/schemas/senders.ts'
import { senderOf } from '../tools/corpus.ts'
import type { CorpusFile } from './corpus-file.ts'
import {
  type BenchQuery,
  type CheckedPath,
  CONSTANT,
  instantHalfWay,
  NO_TARGET,
  PAGE,
  type Target,
  usualSender,
} from './queries.ts'

const UNDER_20_MS: Target = { kind: 'milliseconds', under: 20 }

/** Parameters of `GET /stats/timeline`; `since` and `until` are boundaries of buckets. */
interface TimelineRequest {
  bucket: 'minute' | 'day'
  tz: string
  since: string
  until: string
  from?: string
}

/** Parameters of `GET /senders`, with a number of senders to skip in place of a cursor. */
interface SendersRequest {
  order: SenderOrder
  q?: string
  skip?: number
}

interface SenderRow {
  from: string
  count: number
  first_message_ts: string
  last_message_ts: string
}

/** Runs a statement on the file, and returns its rows. */
function select<Row>(file: CorpusFile, statement: string, parameters: object = {}): Row[] {
  const database = new Database(file.path, { readonly: true })
  try {
    return database.prepare<[object], Row>(statement).all(parameters)
  } finally {
    database.close()
  }
}

/** Returns a function from an instant to its local time, as `YYYY-MM-DD HH:MM`. */
function localTimeIn(timeZone: string): (instant: string) => string {
  // The format of Swedish is that of ISO 8601.
  const style = { dateStyle: 'short', timeStyle: 'short' } as const
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, ...style })
  return (instant) => format.format(new Date(instant))
}

/** Counts the messages of each local day or minute by the rows of the file. */
function countBuckets(file: CorpusFile, request: TimelineRequest): Map<string, number> {
  const { bucket, tz, since, until, from = null } = request
  const localTime = localTimeIn(tz)
  // Timestamps of the corpus are in UTC. Sort keys, which have no Z, are less than every timestamp of their second.
  const rows = select<{ minute: string; count: number }>(
    file,
    `select substr(ts, 1, 16) as minute, count(*) as count from messages
     where ts >= @since and ts < @until and (@from is null or from_msisdn = @from) group by 1`,
    { since: instantKey(since), until: instantKey(until), from },
  )
  const counts = new Map<string, number>()
  for (const { minute, count } of rows) {
    const time = localTime(`${minute}Z`)
    const start = bucket === 'day' ? `${time.slice(0, 10)} 00:00` : time
    counts.set(start, (counts.get(start) ?? 0) + count)
  }
  return counts
}

/** Returns a checked request for a timeline. @param buckets its expected number of buckets. */
function timeline(file: CorpusFile, buckets: number, request: TimelineRequest): CheckedPath {
  return {
    path: `/stats/timeline?${new URLSearchParams({ ...request })}`,
    check(body) {
      const { data }: { data: { start: string; count: number }[] } = JSON.parse(body)
      const localTime = localTimeIn(request.tz)
      const found = new Map(data.map(({ start, count }) => [localTime(start), count]))
      if (data.length !== buckets || found.size !== buckets) {
        return `${data.length} buckets with ${found.size} starts, not ${buckets}`
      }
      const expected = countBuckets(file, request)
      const starts = new Set([...found.keys(), ...expected.keys()])
      const wrong = [...starts].find((start) => found.get(start) !== (expected.get(start) ?? 0))
      if (wrong === undefined) return undefined
      return `${found.get(wrong)} messages from ${wrong}, the recount is ${expected.get(wrong) ?? 0}`
    },
  }
}

const allSenders = new WeakMap<CorpusFile, SenderRow[]>()

/** Returns the senders of a request and all that follow, by the rows of the file. */
function countSenders(file: CorpusFile, { order, q = '', skip = 0 }: SendersRequest): SenderRow[] {
  const senders =
    allSenders.get(file) ??
    select<SenderRow>(
      file,
      `select from_msisdn as "from", count(*) as count, min(rtrim(ts, 'Z')) || 'Z' as first_message_ts,
              max(rtrim(ts, 'Z')) || 'Z' as last_message_ts
       from messages group by 1 order by count desc, 1`,
    )
  allSenders.set(file, senders)
  const matching = senders.filter(({ from }) => from.startsWith(q))
  if (order === 'number') matching.sort((a, b) => (a.from < b.from ? -1 : 1))
  return matching.slice(skip)
}

/** Formats a sender for comparison; an instant may be written in several ways. */
function formatSender(sender: SenderRow | undefined): string {
  if (!sender) return 'no sender'
  const { from, count, first_message_ts: first, last_message_ts: last } = sender
  return `${count} messages of ${from} from ${instantKey(first)} to ${instantKey(last)}`
}

/** Returns a checked request for a page of senders. */
function senders(file: CorpusFile, request: SendersRequest): CheckedPath {
  const { order, q, skip = 0 } = request
  const search = new URLSearchParams({ order, limit: String(PAGE) })
  if (q !== undefined) search.set('q', q)
  const [last] = skip === 0 ? [] : countSenders(file, { ...request, skip: skip - 1 })
  if (last) {
    const position = { count: last.count, number: last.from }
    search.set('cursor', writeSenderCursor({ prefix: q ?? '', order }, position))
  }
  return {
    path: `/senders?${search}`,
    check(body) {
      const { data, next }: { data: SenderRow[]; next?: string } = JSON.parse(body)
      const following = countSenders(file, request)
      const page = following.slice(0, PAGE)
      for (let at = 0; at < Math.max(data.length, page.length); at++) {
        const found = formatSender(data[at])
        const expected = formatSender(page[at])
        if (found !== expected) return `${found}, the recount is ${expected}`
      }
      const hasNext = following.length > PAGE
      return (next !== undefined) === hasNext
        ? undefined
        : `the page has ${hasNext ? 'no' : 'a'} next one`
    },
  }
}

/** A year by day, the last year of the corpus. @param offset the offset of the time zone at New Year. */
function yearByDay(tz: string, offset: string): TimelineRequest {
  const since = `2025-01-01T00:00:00${offset}`
  return { bucket: 'day', tz, since, until: `2026-01-01T00:00:00${offset}` }
}

/** The minutes of the hour of the message in the middle of the file. */
function hourByMinute(file: CorpusFile): TimelineRequest {
  const hour = Date.parse(`${instantHalfWay(file).slice(0, 13)}:00:00Z`)
  const [since = '', until = ''] = [hour, hour + 3_600_000].map((at) => new Date(at).toISOString())
  return { bucket: 'minute', tz: 'UTC', since, until }
}

/** The queries for counts by time and by sender. */
export const AGGREGATES: BenchQuery[] = [
  {
    name: 'timeline: a year by day, UTC',
    target: UNDER_20_MS,
    request: (file) => timeline(file, 365, yearByDay('UTC', 'Z')),
  },
  {
    name: 'timeline: a year by day, Asia/Kolkata',
    target: UNDER_20_MS,
    request: (file) => timeline(file, 365, yearByDay('Asia/Kolkata', '+05:30')),
  },
  {
    name: 'timeline: a year by day, Pacific/Auckland',
    target: UNDER_20_MS,
    request: (file) => timeline(file, 365, yearByDay('Pacific/Auckland', '+13:00')),
  },
  {
    name: 'timeline: an hour by minute',
    target: UNDER_20_MS,
    request: (file) => timeline(file, 60, hourByMinute(file)),
  },
  {
    name: 'timeline: a year of the busiest sender by day',
    target: NO_TARGET,
    request: (file) => timeline(file, 365, { ...yearByDay('UTC', 'Z'), from: senderOf(0) }),
  },
  {
    name: 'senders: the first page',
    target: CONSTANT,
    request: (file) => senders(file, { order: 'count' }),
  },
  {
    name: 'senders: the page in the middle, by cursor',
    target: CONSTANT,
    request: (file) =>
      senders(file, {
        order: 'count',
        skip: countSenders(file, { order: 'count' }).length >> 1,
      }),
  },
  {
    name: 'senders: the first page of a prefix (+91)',
    target: CONSTANT,
    request: (file) => senders(file, { order: 'count', q: '+91' }),
  },
  {
    name: 'senders: one number as the prefix, by number',
    target: CONSTANT,
    request: (file) => senders(file, { order: 'number', q: usualSender(file) }),
  },
  {
    name: 'senders: one number as the prefix, by count',
    target: NO_TARGET,
    request: (file) => senders(file, { order: 'count', q: usualSender(file) }),
  },
]
