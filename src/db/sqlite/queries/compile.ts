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
import type { SqliteSchema } from '../schema.ts'
import type { CompiledStatement, Parameter } from '../statement.ts'

/** Builds queries and never runs one: they are compiled once, and the threads keep them prepared. */
export const build = new Kysely<SqliteSchema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

/** A place in a query for the value that each run brings under this name. */
export function parameter<Value>(name: string): RawBuilder<Value> {
  return sql<Value>`${{ parameter: name } satisfies Parameter}`
}

/** The query as plain data, ready to be handed to a thread. */
export function compile<Row>(query: Compilable<Row>): CompiledStatement<Row> {
  const { sql, parameters } = query.compile()
  return { sql, parameters: [...parameters] }
}
