import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { Test } from 'tap'
import type { PoolOptions } from '../../../src/db/postgres/pools.ts'
import { PostgresStore, type PostgresStoreOptions } from '../../../src/db/postgres/store.ts'

/** URL of the server for tests, with a role that may create databases; undefined if there is none. */
export const SERVER = process.env.TEST_POSTGRES_URL

/** Reason to skip tests that need a server; false if there is one. */
export const NO_SERVER = SERVER
  ? false
  : 'no PostgreSQL: set TEST_POSTGRES_URL=postgres://… of a role that may create databases'

/**
 * Creates a database that is dropped after the test.
 * @param options options of `create database`.
 * @returns its URL.
 */
export async function createDatabase(t: Test, options = ''): Promise<string> {
  const name = `lyftr_test_${randomBytes(6).toString('hex')}`
  await execute(SERVER, `create database ${name} template template0 encoding 'UTF8' ${options}`)
  t.teardown(() => execute(SERVER, `drop database if exists ${name} with (force)`))
  const url = new URL(SERVER ?? '')
  url.pathname = `/${name}`
  return url.href
}

/** Runs statements on a new connection. @returns the rows of the last one. */
export async function execute(
  url: string | undefined,
  ...statements: string[]
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  // Without a listener, a broken connection would crash the process; queries reject anyway.
  client.on('error', () => {})
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

/** Opens a store that is closed after the test. */
export async function openStore(
  t: Test,
  url: string,
  options: Partial<PostgresStoreOptions & PoolOptions> = {},
): Promise<PostgresStore> {
  const store = await PostgresStore.open(url, { unlimited: false, readTimeoutMs: 5000, ...options })
  t.teardown(() => store.close())
  return store
}

/** Repeats the query until it returns a row that satisfies the condition. */
export async function eventually(
  url: string,
  query: string,
  holds: (row: Record<string, unknown>) => boolean,
): Promise<void> {
  while (!(await execute(url, query)).some(holds));
}

/** Resolves once the text index is complete. */
export function indexed(url: string): Promise<void> {
  const index = "select indisvalid from pg_index where indexrelid = to_regclass('messages_by_text')"
  return eventually(url, index, ({ indisvalid }) => indisvalid === true)
}

/**
 * Returns the number of sequential scans of `messages` so far.
 * Connections report their scans when they end, so it first waits for all others to end, except those with the
 * application name `lock`.
 */
export async function countScans(url: string): Promise<unknown> {
  const others = `select count(*)::int from pg_stat_activity where datname = current_database()
    and backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> 'lock'`
  await eventually(url, others, ({ count }) => count === 0)
  const [row] = await execute(
    url,
    "select seq_scan::int from pg_stat_user_tables where relname = 'messages'",
  )
  return row?.seq_scan
}
