import {
  type Compilable,
  DummyDriver,
  Kysely,
  type LimitNode,
  type RawBuilder,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely'
import type { SqliteSchema } from '../schema.ts'
import type { CompiledStatement, NamedParameter } from '../statement.ts'

/**
 * Compiles a limit to `limit ? + 0`.
 * SQLite plans a statement again at every run if its limit is a plain parameter. That takes 25 to 200 µs, more than most
 * runs, and the value changes none of the plans.
 */
class StatementCompiler extends SqliteQueryCompiler {
  protected override visitLimit(node: LimitNode): void {
    super.visitLimit(node)
    this.append(' + 0')
  }
}

/**
 * The query builder.
 * It never runs a query: statements are compiled once and prepared in the worker threads.
 */
export const build = new Kysely<SqliteSchema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new StatementCompiler(),
  },
})

/** Placeholders for the values of a statement's parameters, by name. */
export type Placeholders<Parameters> = {
  readonly [Name in keyof Parameters]: RawBuilder<Parameters[Name]>
}

/** A value that is compiled to a named parameter. */
function placeholder(name: string): RawBuilder<never> {
  return sql<never>`${{ parameter: name } satisfies NamedParameter}`
}

const PLACEHOLDERS: Placeholders<Record<string, never>> = new Proxy(
  {},
  { get: (_target, name) => placeholder(String(name)) },
)

/**
 * Compiles a statement.
 * The annotation of the callback's argument declares the parameters, so that TypeScript checks their names and types in
 * the query as well as at every run.
 * @example compile(({ key }: Placeholders<{ key: string }>) => build.selectFrom('messages').where('ts_key', '<', key))
 */
export function compile<Row, Parameters = Record<never, never>>(
  query: (placeholders: Placeholders<Parameters>) => Compilable<Row>,
): CompiledStatement<Parameters, Row> {
  const { sql, parameters } = query(PLACEHOLDERS as Placeholders<Parameters>).compile()
  return { sql, parameters: [...parameters] }
}
