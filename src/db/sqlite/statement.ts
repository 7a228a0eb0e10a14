import type { Database } from 'better-sqlite3'
import type { MessageFilter } from '../store.ts'

/** A place among a statement's parameters for the value that each run brings under this name. */
export interface Slot {
  slot: string
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

/** A statement prepared on a connection, run any number of times with the values of its slots. */
export interface PreparedStatement<Row> {
  all(values?: Readonly<Record<string, unknown>>): Row[]
  get(values?: Readonly<Record<string, unknown>>): Row | undefined
  /** Runs a statement that writes; the number of rows it wrote. */
  run(values?: Readonly<Record<string, unknown>>): number
}

function isSlot(parameter: unknown): parameter is Slot {
  return typeof parameter === 'object' && parameter !== null && 'slot' in parameter
}

/** Prepares a compiled query on a connection. */
export function prepare<Row>(
  database: Database,
  { sql, parameters }: CompiledStatement<Row>,
): PreparedStatement<Row> {
  const statement = database.prepare<unknown[], Row>(sql)
  const bind = (values: Readonly<Record<string, unknown>>): unknown[] =>
    parameters.map((parameter) => (isSlot(parameter) ? values[parameter.slot] : parameter))
  return {
    all: (values = {}) => statement.all(bind(values)),
    get: (values = {}) => statement.get(bind(values)),
    run: (values = {}) => statement.run(bind(values)).changes,
  }
}

/** Which of its fields a filter uses: each shape is a query of its own. */
export interface FilterShape {
  from: boolean
  since: boolean
  q: boolean
}

/** Every shape, at the place that `shapeOf` tells. */
export const shapes: readonly FilterShape[] = Array.from({ length: 8 }, (_, number) => ({
  from: (number & 1) !== 0,
  since: (number & 2) !== 0,
  q: (number & 4) !== 0,
}))

/** The place of the filter's shape among all shapes. */
export function shapeOf(filter: MessageFilter): number {
  return (
    (filter.from === undefined ? 0 : 1) |
    (filter.since === undefined ? 0 : 2) |
    (filter.q === undefined || filter.q === '' ? 0 : 4)
  )
}
