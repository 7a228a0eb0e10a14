import { ConfigError, loadConfig } from '../config.ts'

/** The file that DATABASE_URL names; a private temporary one is of no use to a command. @throws ConfigError */
export function databasePath(): string {
  const { sqlitePath } = loadConfig({ development: false })
  if (sqlitePath === undefined) throw new ConfigError('DATABASE_URL: expected a file')
  return sqlitePath
}
