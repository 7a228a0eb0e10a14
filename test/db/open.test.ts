import { execFileSync } from 'node:child_process'
import t from 'tap'

/** Program that opens a store and prints the loaded drivers; PostgreSQL need not be reachable. */
const PROGRAM = `
  import { createRequire } from 'node:module'
  import { openStore } from '${new URL('../../src/db/open.ts', import.meta.url)}'
  const store = await openStore(JSON.parse(process.env.DATABASE)).catch(() => undefined)
  const loaded = Object.keys(createRequire(import.meta.url).cache)
  const drivers = ['better-sqlite3', 'pg']
  console.log(drivers.filter((name) => loaded.some((path) => path.includes('/' + name + '/lib/'))).join())
  await store?.close()`

function driversOf(database: Record<string, string>): string {
  const program = ['--input-type=module', '--eval', PROGRAM]
  const env = { ...process.env, DATABASE: JSON.stringify(database) }
  return execFileSync(process.execPath, program, { env, encoding: 'utf8' }).trim()
}

t.test('a SQLite store loads only better-sqlite3', async (t) => {
  t.equal(driversOf({ kind: 'sqlite', path: `${t.testdir()}/app.db` }), 'better-sqlite3')
})

t.test('a PostgreSQL store loads only pg', async (t) => {
  t.equal(driversOf({ kind: 'postgres', url: 'postgres://127.0.0.1:1/none' }), 'pg')
})
