import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import t from 'tap'
import { folderOf, NO_SOURCES, startApp } from '../service.ts'

t.test('returns 200 for liveness and readiness', async (t) => {
  const { app } = await startApp(t)
  const live = await app.inject('/health/live')
  t.equal(live.statusCode, 200)
  t.strictSame(live.json(), { status: 'alive' })
  const ready = await app.inject('/health/ready')
  t.equal(ready.statusCode, 200)
  t.strictSame(ready.json(), { status: 'ready' })
})

t.test('without a secret it is alive and not ready', async (t) => {
  const { app, log } = await startApp(t, { sources: NO_SOURCES })
  t.equal((await app.inject('/health/live')).statusCode, 200)
  const ready = await app.inject('/health/ready')
  t.equal(ready.statusCode, 503)
  t.match(ready.json(), { detail: /WEBHOOK_SECRET/ })
  t.match(log.at(-1), { level: 'ERROR', status: 503, rejected: 'no_secret' })
  t.notOk('cause' in (log.at(-1) ?? {}))
})

t.test('without its database file it is alive and not ready', async (t) => {
  const path = `${folderOf(t)}/app.db`
  const { app, log } = await startApp(t, { database: { kind: 'sqlite', path } })
  rmSync(path)
  const ready = await app.inject('/health/ready')
  t.equal(ready.statusCode, 503)
  t.strictSame(ready.json(), { detail: 'database not ready' })
  t.equal((await app.inject('/health/live')).statusCode, 200)
  t.match(
    log.find(({ status }) => status === 503),
    {
      level: 'ERROR',
      cause: { message: /no longer at/ },
    },
  )
})

t.test('responds within a second while the database is locked, and is ready', async (t) => {
  const path = `${folderOf(t)}/app.db`
  const { app } = await startApp(t, { database: { kind: 'sqlite', path } })
  const other = new Database(path)
  other.exec('begin immediate')
  const started = performance.now()
  const ready = await app.inject('/health/ready')
  t.ok(performance.now() - started < 1000)
  t.equal(ready.statusCode, 200)
  t.equal((await app.inject('/health/live')).statusCode, 200)
  other.exec('rollback')
  other.close()
  await app.store.ready()
  t.equal((await app.inject('/health/ready')).statusCode, 200)
})

t.test('while it drains it is alive and not ready, which is logged as INFO', async (t) => {
  const { app, log } = await startApp(t)
  app.shutdown.drain()
  t.equal((await app.inject('/health/live')).statusCode, 200)
  const ready = await app.inject('/health/ready')
  t.equal(ready.statusCode, 503)
  t.strictSame(ready.json(), { detail: 'shutting down' })
  t.match(log.at(-1), { level: 'INFO', status: 503, rejected: 'stopping' })
  t.notOk('cause' in (log.at(-1) ?? {}))
})
