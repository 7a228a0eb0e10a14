import { StoreUnavailableError } from '../message-store.ts'

/** SQLSTATE classes that tell of our own mistake: values, constraints, statements (PostgreSQL, appendix A). */
const OURS = /^(22|23|42)[0-9A-Z]{3}$/

function isMistake(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true
  return error instanceof Error && 'code' in error && OURS.test(String(error.code))
}

/** What went wrong, in one line: where several addresses were tried, what the first one said. */
export function errorMessage(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0)
    return errorMessage(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}

/**
 * A failure as a store tells it: whatever is not a mistake of ours lies with the connection or the server, and may be
 * over soon.
 */
export function toStoreError(error: unknown): unknown {
  if (error instanceof StoreUnavailableError || isMistake(error)) return error
  return new StoreUnavailableError(errorMessage(error), { cause: error })
}
