import type { Database, Statement } from 'better-sqlite3'
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
import type { SqliteSchema } from './schema.ts'

/** Builds queries and never runs one: each is compiled once, then lives on as a prepared statement. */
export const build = new Kysely<SqliteSchema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

class Slot {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A place in a query for a value that each run brings under this name. */
export function slot<Value>(name: string): RawBuilder<Value> {
  return sql<Value>`${new Slot(name)}`
}

/** The values of one run, by the names of the query's slots. */
export type SlotValues = Readonly<Record<string, unknown>>

/** A prepared query: the statement, and the run's values in the order in which it takes them. */
export interface Prepared<Row> {
  statement: Statement<unknown[], Row>
  bind(values: SlotValues): unknown[]
}

/** Compiles a query and prepares it on a connection, to be run any number of times. */
export function prepare<Row>(database: Database, query: Compilable<Row>): Prepared<Row> {
  const { sql, parameters } = query.compile()
  return {
    statement: database.prepare<unknown[], Row>(sql),
    bind: (values) =>
      parameters.map((parameter) =>
        parameter instanceof Slot ? values[parameter.name] : parameter,
      ),
  }
}
