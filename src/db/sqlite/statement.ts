import type { Database } from 'better-sqlite3'
import type { Order } from '../../message/filter.ts'

/** A place among a statement's parameters for the value that each run brings under this name. */
export interface Parameter {
  parameter: string
}

/**
 * A compiled query as plain data, so that it can be handed to a thread, which then needs no query builder: its text
 * and its parameters, some of them open. `Row` is what it yields.
 */
export interface CompiledStatement<Row> {
  sql: string
  parameters: unknown[]
  /** Never there; it carries the type of the rows. */
  yields?: Row
}

/** The values of one run, by the names of the parameters. */
export type ParameterValues = Readonly<Record<string, unknown>>

/** A statement prepared on a connection, run any number of times with the values of its parameters. */
export interface PreparedStatement<Row> {
  all(values?: ParameterValues): Row[]
  get(values?: ParameterValues): Row | undefined
  iterate(values?: ParameterValues): IterableIterator<Row>
  /** Runs a statement that writes; the number of rows it wrote. */
  run(values?: ParameterValues): number
}

function isParameter(parameter: unknown): parameter is Parameter {
  return typeof parameter === 'object' && parameter !== null && 'parameter' in parameter
}

/** Prepares a compiled query on a connection. */
export function prepare<Row>(
  database: Database,
  { sql, parameters }: CompiledStatement<Row>,
): PreparedStatement<Row> {
  const statement = database.prepare<unknown[], Row>(sql)
  const bind = (values: ParameterValues): unknown[] =>
    parameters.map((parameter) =>
      isParameter(parameter) ? values[parameter.parameter] : parameter,
    )
  return {
    all: (values = {}) => statement.all(bind(values)),
    get: (values = {}) => statement.get(bind(values)),
    iterate: (values = {}) => statement.iterate(bind(values)),
    run: (values = {}) => statement.run(bind(values)).changes,
  }
}

/** A family of queries, prepared. */
export type Prepared<Family> = { [Name in keyof Family]: PreparedStatement<RowOf<Family[Name]>> }

/** Prepares every query of a family, under its name there. */
export function prepareAll<Family extends Record<string, CompiledStatement<unknown>>>(
  database: Database,
  family: Family,
): Prepared<Family> {
  return Object.fromEntries(
    Object.entries(family).map(([name, query]) => [name, prepare(database, query)]),
  ) as Prepared<Family>
}

/** What a compiled statement yields. */
export type RowOf<Statement> = Statement extends CompiledStatement<infer Row> ? Row : never

/** A variant of a page query: its order, whether it continues after a position, whether it filters by recipient. */
export interface PageVariant {
  order: Order
  after: boolean
  to: boolean
}

/** Every variant of a page, at the place that `placeOf` tells. */
export const PAGE_VARIANTS: readonly PageVariant[] = [false, true].flatMap((to) => [
  { order: 'asc', after: false, to },
  { order: 'desc', after: false, to },
  { order: 'asc', after: true, to },
  { order: 'desc', after: true, to },
])

/** The place of a variant among all variants. */
export function placeOf({ order, after, to }: PageVariant): number {
  return (order === 'asc' ? 0 : 1) + (after ? 2 : 0) + (to ? 4 : 0)
}
