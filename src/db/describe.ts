import { resolve } from 'node:path'
import type { DatabaseAddress } from '../settings.ts'

/**
 * Returns the name of a database for log lines and terminals.
 * It is an absolute path, or a URL without password and options.
 */
export function describeDatabase(database: DatabaseAddress): string {
  if (database.kind === 'sqlite') {
    return database.path === undefined ? 'a private temporary file' : resolve(database.path)
  }
  const url = URL.parse(database.url)
  if (!url) return 'PostgreSQL'
  // The URL has no host if it names a Unix socket or the host by an option.
  const host = url.host || url.searchParams.get('host') || 'localhost'
  return `${url.protocol}//${url.username && `${url.username}@`}${host}${url.pathname}`
}
