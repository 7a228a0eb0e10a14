import type { Database } from 'better-sqlite3'
import type { PageVariantName } from './page-variant.ts'
import type { orderedQueries } from './queries/page.ts'
import type { PageParameters } from './queries/positions.ts'
import { MAX_RUNS } from './schema.ts'
import { type CompiledStatement, isNamed, type PreparedStatement, prepare } from './statement.ts'

/** The compiled pages by sender: a page of one run, and the term that reads the run. */
type RunPages = (typeof orderedQueries)['sender']['pagesOfRuns']

type Row = RunPages[PageVariantName]['page'] extends CompiledStatement<never, infer R> ? R : never

/** The run that each term reads, by name: `run0`, `run1`, …; null for none. */
type Runs = { [name: `run${number}`]: number | null }

/** Numbers of terms of the statements. Each term costs about 5 µs, even if it reads no run. */
const SIZES = [16, MAX_RUNS] as const

/**
 * Repeats the term of a page, so that each term reads another run.
 * Placeholders are positional: those of the term follow the placeholders in the text before it.
 */
function repeatTerm(
  { page, term }: RunPages[PageVariantName],
  times: number,
): CompiledStatement<PageParameters & Runs, Row> {
  const unionTerm = ` union all ${term.sql}`
  const [before = '', after = ''] = page.sql.split(unionTerm)
  const firstParameter = before.split('?').length - 1
  const endParameter = firstParameter + term.parameters.length
  const numbers = Array.from({ length: times }, (_, number) => number)
  const parametersOf = (number: number) =>
    page.parameters
      .slice(firstParameter, endParameter)
      .map((value) =>
        isNamed(value) && value.parameter === 'run' ? { parameter: `run${number}` } : value,
      )
  return {
    sql: before + unionTerm.repeat(times) + after,
    parameters: [
      ...page.parameters.slice(0, firstParameter),
      ...numbers.flatMap(parametersOf),
      ...page.parameters.slice(endParameter),
    ],
  }
}

/**
 * Prepares the pages by sender. The function that it returns reads a page from the given runs.
 * The terms are repeated in the worker thread, so that the compiled queries, which are posted to it, stay small.
 */
export function prepareRunPages(
  database: Database,
  compiled: RunPages,
): (variant: PageVariantName, values: PageParameters, runs: readonly number[]) => Iterable<Row> {
  const prepared = new Map<string, PreparedStatement<PageParameters & Runs, Row>>()

  function statementFor(variant: PageVariantName, size: number) {
    const key = `${variant} ${size}`
    const found = prepared.get(key) ?? prepare(database, repeatTerm(compiled[variant], size))
    prepared.set(key, found)
    return found
  }

  return (variant, values, runs) => {
    const size = SIZES.find((size) => runs.length <= size) ?? MAX_RUNS
    const named: Runs = {}
    for (let number = 0; number < size; number++) named[`run${number}`] = runs[number] ?? null
    return statementFor(variant, size).iterate({ ...values, ...named })
  }
}
