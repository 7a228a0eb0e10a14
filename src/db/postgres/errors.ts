import { StoreUnavailableError } from '../message-store.ts'

/**
 * SQLSTATE classes of errors in a statement or its values.
 * 22: data exception, 23: integrity constraint violation, 42: syntax error or access rule violation. Source: PostgreSQL
 * documentation, appendix A.
 */
const STATEMENT_ERROR = /^(22|23|42)[0-9A-Z]{3}$/

/** Whether an error is a defect of the service rather than a failure of the connection or the server. */
function isProgramError(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true
  return error instanceof Error && 'code' in error && STATEMENT_ERROR.test(String(error.code))
}

/** Returns the message of an error in one line; of the first one if several addresses were tried. */
export function errorMessage(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0)
    return errorMessage(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}

/** Returns the error to reject with: `StoreUnavailableError`, unless it is a program error. */
export function toStoreError(error: unknown): unknown {
  if (error instanceof StoreUnavailableError || isProgramError(error)) return error
  return new StoreUnavailableError(errorMessage(error), { cause: error })
}
