import type { Static } from '@sinclair/typebox'
import {
  type Compilable,
  DummyDriver,
  Kysely,
  type RawBuilder,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely'
import type { StoredMessage } from '../../schemas/messages.ts'
import type { SqliteSchema } from './schema.ts'
import { type CompiledStatement, type FilterShape, type Slot, shapes } from './statement.ts'

/** How many senders the statistics name. */
const TOP_SENDERS = 10

/** Builds queries and never runs one: they are compiled once, and the threads keep them prepared. */
const build = new Kysely<SqliteSchema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

/** A place in a query for the value that each run brings under this name. */
function slot<Value>(name: string): RawBuilder<Value> {
  return sql<Value>`${{ slot: name } satisfies Slot}`
}

function compile<Row>(query: Compilable<Row>): CompiledStatement<Row> {
  const { sql, parameters } = query.compile()
  return { sql, parameters: [...parameters] }
}

/** What the writing thread runs. */
export const writerQueries = {
  insert: compile(
    build
      .insertInto('messages')
      .values({
        message_id: slot('message_id'),
        from_msisdn: slot('from_msisdn'),
        to_msisdn: slot('to_msisdn'),
        ts: slot('ts'),
        text: slot('text'),
        created_at: slot('created_at'),
        ts_key: slot('ts_key'),
      })
      .onConflict((conflict) => conflict.column('message_id').doNothing()),
  ),
  beat: compile(
    build
      .insertInto('heartbeat')
      .values({ id: 1, at: slot('at') })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ at: slot('at') })),
  ),
  readAny: compile(build.selectFrom('messages').select('seq').limit(1)),
  withoutInstant: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('ts_key', '=', ''),
  ),
}

/** The messages that a filter of this shape matches. */
function matching(shape: FilterShape) {
  let query = build.selectFrom('messages')
  if (shape.from) query = query.where('from_msisdn', '=', slot<string>('from'))
  if (shape.since) query = query.where('ts_key', '>=', slot<string>('since'))
  if (shape.q) {
    query = query.where(sql<boolean>`contains_folded(${sql.ref('text')}, ${slot('q')})`)
  }
  return query
}

/** The page is found over the index alone and its rows joined afterwards: skipping an offset reads no row. */
function pageOf(shape: FilterShape): CompiledStatement<Static<typeof StoredMessage>> {
  const page = matching(shape)
    .select('seq')
    .orderBy('ts_key')
    .orderBy('message_id')
    .limit(slot<number>('limit'))
    .offset(slot<number>('offset'))
  return compile(
    build
      .selectFrom(page.as('page'))
      .innerJoin('messages', 'messages.seq', 'page.seq')
      .select(['message_id', 'from_msisdn', 'to_msisdn', 'ts', 'text', 'created_at'])
      .orderBy('ts_key')
      .orderBy('message_id'),
  )
}

function totalOf(shape: FilterShape) {
  return compile(matching(shape).select((eb) => eb.fn.countAll<number>().as('count')))
}

function extreme(direction: 'asc' | 'desc') {
  return compile(
    build
      .selectFrom('messages')
      .select('ts')
      .where('ts_key', '>', '')
      .orderBy('ts_key', direction)
      .orderBy('message_id', direction)
      .limit(1),
  )
}

/** What the reading threads run; the questions by the number of their filter's shape. */
export const readerQueries = {
  page: shapes.map(pageOf),
  total: shapes.map(totalOf),
  totals: compile(
    build
      .selectFrom('messages')
      .select((eb) => [
        eb.fn.countAll<number>().as('messages'),
        eb.fn.count<number>('from_msisdn').distinct().as('senders'),
      ]),
  ),
  top: compile(
    build
      .selectFrom('messages')
      .select((eb) => ['from_msisdn as from', eb.fn.countAll<number>().as('count')])
      .groupBy('from_msisdn')
      .orderBy('count', 'desc')
      .orderBy('from_msisdn')
      .limit(TOP_SENDERS),
  ),
  first: extreme('asc'),
  last: extreme('desc'),
}
