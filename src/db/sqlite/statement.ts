import type { Database, Statement } from 'better-sqlite3'

/** A named parameter in the parameter list of a compiled statement, bound to a value at each run. */
export interface NamedParameter {
  parameter: string
}

/**
 * A compiled statement as plain data.
 * It can be posted to a worker thread, which then needs no query builder. `Parameters` maps the names of its parameters
 * to the types of their values; `Row` is the type of its rows.
 */
export interface CompiledStatement<Parameters, Row> {
  sql: string
  /** Constants and named parameters, in the order of the placeholders in `sql`. */
  parameters: unknown[]
  /** Never set; carries the types only. */
  signature?: (parameters: Parameters) => Row
}

/** The arguments of a run: the values of all parameters, or nothing if the statement has none. */
type RunArguments<Parameters> = keyof Parameters extends never ? [] : [values: Readonly<Parameters>]

/** A statement prepared on a connection. */
export interface PreparedStatement<Parameters, Row> {
  /** Returns all rows. */
  all(...values: RunArguments<Parameters>): Row[]
  /** Yields the rows one by one; rows that the caller does not request are not read. */
  iterate(...values: RunArguments<Parameters>): IterableIterator<Row>
  /** Returns the first row, or undefined if there is none. */
  get(...values: RunArguments<Parameters>): Row | undefined
  /** Executes a statement that writes. @returns the number of rows that it changed. */
  run(...values: RunArguments<Parameters>): number
}

/** The prepared form of a compiled statement, or of a record of them. */
export type Prepared<Compiled> =
  Compiled extends CompiledStatement<infer Parameters, infer Row>
    ? PreparedStatement<Parameters, Row>
    : { [Name in keyof Compiled]: Prepared<Compiled[Name]> }

/** Whether a parameter of a compiled statement is a named one, not a constant. */
export function isNamed(parameter: unknown): parameter is NamedParameter {
  return typeof parameter === 'object' && parameter !== null && 'parameter' in parameter
}

/** Prepares a compiled statement on a connection when it is first run. */
export function prepare<Parameters, Row>(
  database: Database,
  { sql, parameters }: CompiledStatement<Parameters, Row>,
): PreparedStatement<Parameters, Row> {
  let prepared: Statement<unknown[], Row> | undefined
  const statement = () => {
    prepared ??= database.prepare<unknown[], Row>(sql)
    return prepared
  }
  const bind = ([values]: RunArguments<Parameters> | []): unknown[] => {
    const named = (values ?? {}) as Readonly<Record<string, unknown>>
    return parameters.map((value) => (isNamed(value) ? named[value.parameter] : value))
  }
  return {
    all: (...values) => statement().all(bind(values)),
    iterate: (...values) => statement().iterate(bind(values)),
    get: (...values) => statement().get(bind(values)),
    run: (...values) => statement().run(bind(values)).changes,
  }
}

/** Compiled statements by name, nested to any depth. */
interface StatementTree {
  [name: string]: CompiledStatement<never, unknown> | StatementTree
}

function isStatement(
  node: CompiledStatement<never, unknown> | StatementTree,
): node is CompiledStatement<never, unknown> {
  return typeof node.sql === 'string'
}

/** Prepares every statement of a record, nested records included, under the same names. */
export function prepareAll<Tree extends StatementTree>(
  database: Database,
  tree: Tree,
): Prepared<Tree> {
  return Object.fromEntries(
    Object.entries(tree).map(([name, node]) => [
      name,
      isStatement(node) ? prepare(database, node) : prepareAll(database, node),
    ]),
  ) as Prepared<Tree>
}
