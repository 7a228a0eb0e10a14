/** What the migrator says about a migration that ran before and that it does not know. */
const UNKNOWN = /^corrupted migrations: previously executed migration (.+) is missing$/

/** The error of a migration, in words for an operator where a later version of the service has been at the database. */
export function inWords(error: unknown): unknown {
  const name = UNKNOWN.exec(error instanceof Error ? error.message : '')?.[1]
  if (name === undefined) return error
  return new Error(
    `its schema is of a later version of this service, with ${name}: start that version`,
    { cause: error },
  )
}
