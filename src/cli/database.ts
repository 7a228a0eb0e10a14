import { existsSync } from 'node:fs'
import { ConfigError, loadConfig } from '../config.ts'

/** The file that DATABASE_URL names; a private temporary one is of no use to a command. @throws ConfigError */
export function databasePath(): string {
  const { sqlitePath } = loadConfig({ development: false })
  if (sqlitePath === undefined) throw new ConfigError('DATABASE_URL: expected a file')
  return sqlitePath
}

/** The same for what only reads, and so must not make the file. @throws ConfigError when there is none. */
export function existingDatabasePath(): string {
  const path = databasePath()
  if (!existsSync(path)) throw new ConfigError(`DATABASE_URL: there is no file ${path}`)
  return path
}
