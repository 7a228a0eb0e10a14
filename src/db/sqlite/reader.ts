import { workerData } from 'node:worker_threads'
import type { Static } from '@sinclair/typebox'
import { sql } from 'kysely'
import type { MessagesPage, StoredMessage } from '../../schemas/messages.ts'
import type { Stats } from '../../schemas/stats.ts'
import { fold } from '../fold.ts'
import type { MessageFilter, PageQuery } from '../store.ts'
import { openReader } from './connection.ts'
import { build, type Prepared, prepare, slot } from './statement.ts'
import { serveCalls } from './thread-main.ts'

/** What a reading thread is given. */
export interface ReaderData {
  path: string
  /** Set to anything but 0, it cuts off the scan under way. */
  stop: Int32Array
}

/** How many senders the statistics name. */
const TOP_SENDERS = 10

const COLUMNS = ['message_id', 'from_msisdn', 'to_msisdn', 'ts', 'text', 'created_at'] as const

/** The query for a filter of this shape, its values left open. */
function matching(shape: { from: boolean; since: boolean; q: boolean }) {
  let query = build.selectFrom('messages')
  if (shape.from) query = query.where('from_msisdn', '=', slot<string>('from'))
  if (shape.since) query = query.where('ts_key', '>=', slot<string>('since'))
  if (shape.q) {
    query = query.where(sql<boolean>`contains_folded(${sql.ref('text')}, ${slot('q')})`)
  }
  return query
}

function openOperations({ path, stop }: ReaderData) {
  const database = openReader(path, stop)

  interface Questions {
    rows: Prepared<Static<typeof StoredMessage>>
    total: Prepared<{ count: number }>
  }
  const questions = new Map<string, Questions>()

  function questionsFor(filter: MessageFilter): Questions {
    const shape = {
      from: filter.from !== undefined,
      since: filter.since !== undefined,
      q: filter.q !== undefined && filter.q !== '',
    }
    const key = JSON.stringify(shape)
    const known = questions.get(key)
    if (known) return known
    // The page is found over the index alone and its rows joined afterwards: skipping an offset reads no row.
    const page = matching(shape)
      .select('seq')
      .orderBy('ts_key')
      .orderBy('message_id')
      .limit(slot<number>('limit'))
      .offset(slot<number>('offset'))
    const made = {
      rows: prepare(
        database,
        build
          .selectFrom(page.as('page'))
          .innerJoin('messages', 'messages.seq', 'page.seq')
          .select(COLUMNS)
          .orderBy('ts_key')
          .orderBy('message_id'),
      ),
      total: prepare(
        database,
        matching(shape).select((eb) => eb.fn.countAll<number>().as('count')),
      ),
    }
    questions.set(key, made)
    return made
  }

  const totals = prepare(
    database,
    build
      .selectFrom('messages')
      .select((eb) => [
        eb.fn.countAll<number>().as('messages'),
        eb.fn.count<number>('from_msisdn').distinct().as('senders'),
      ]),
  )
  const top = prepare(
    database,
    build
      .selectFrom('messages')
      .select((eb) => ['from_msisdn as from', eb.fn.countAll<number>().as('count')])
      .groupBy('from_msisdn')
      .orderBy('count', 'desc')
      .orderBy('from_msisdn')
      .limit(TOP_SENDERS),
  )
  const extreme = (direction: 'asc' | 'desc') =>
    prepare(
      database,
      build
        .selectFrom('messages')
        .select('ts')
        .where('ts_key', '>', '')
        .orderBy('ts_key', direction)
        .orderBy('message_id', direction)
        .limit(1),
    )
  const first = extreme('asc')
  const last = extreme('desc')

  /** Runs the reads in one transaction, so that they all see the same snapshot. */
  const snapshot = <Result>(read: () => Result): Result => database.transaction(read).deferred()

  const operations = {
    page(query: PageQuery): Static<typeof MessagesPage> {
      const { rows, total } = questionsFor(query)
      const values = { ...query, q: query.q === undefined ? undefined : fold(query.q) }
      return snapshot(() => ({
        data: rows.statement.all(rows.bind(values)),
        total: total.statement.get(total.bind(values))?.count ?? 0,
        limit: query.limit,
        offset: query.offset,
      }))
    },

    stats(): Static<typeof Stats> {
      return snapshot(() => {
        const counted = totals.statement.get(totals.bind({}))
        return {
          total_messages: counted?.messages ?? 0,
          senders_count: counted?.senders ?? 0,
          messages_per_sender: top.statement.all(top.bind({})),
          first_message_ts: first.statement.get(first.bind({}))?.ts ?? null,
          last_message_ts: last.statement.get(last.bind({}))?.ts ?? null,
        }
      })
    },

    close(): void {
      database.close()
    },
  }
  return { operations, ready: undefined }
}

/** What a reading thread can be asked for. */
export type ReaderOperations = ReturnType<typeof openOperations>['operations']

await serveCalls(async () => openOperations(workerData as ReaderData))
