/** Message of Kysely's error if the database has a migration that this version does not have. */
const UNKNOWN_MIGRATION = /^corrupted migrations: previously executed migration (.+) is missing$/

/** Returns the error of a migration, with an explanation if a later version has migrated the database. */
export function explainMigrationError(error: unknown): unknown {
  const name = UNKNOWN_MIGRATION.exec(error instanceof Error ? error.message : '')?.[1]
  if (name === undefined) return error
  return new Error(
    `its schema is of a later version of this service, which added the migration ${name}; start that version`,
    { cause: error },
  )
}
