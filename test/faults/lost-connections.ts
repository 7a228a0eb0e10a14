import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { startProxy } from '../db/postgres/proxy.ts'
import { createDatabase, execute, NO_SERVER, openStore } from '../db/postgres/server.ts'
import { message } from '../db/store-suite.ts'
import { post, startApp, wire } from '../service.ts'

/** Number of pending messages above which ingest is throttled. */
const THROTTLED_ABOVE = 50_000
/** Number of pending messages in the tests, well above the threshold. */
const PENDING = 120_000
const BATCH = 50

/** Maximum latency of a post. */
const POST_WITHIN_MS = 5000

/** Maximum time until the server ends a lost session and the rollup resumes. */
const RESUMED_WITHIN_MS = 60_000

/** Number of batches stored after the loss, and the maximum time for all of them. */
const BATCHES = 20
const BATCHES_WITHIN_MS = 10_000

t.setTimeout(120_000)

/** Creates a database with many pending messages. */
async function createPending(t: Test): Promise<string> {
  const url = await createDatabase(t)
  await (await openStore(t, url)).close()
  await execute(
    url,
    `insert into messages (batch, ordinal, message_id, from_msisdn, to_msisdn, ts, created_at, ts_key)
      select batch, ordinal, batch || ' ' || ordinal, '+1', '+2', '2025-01-15T10:00:00Z', '', '2025-01-15T10:00:00'
      from generate_series(1, ${PENDING / BATCH}) as batch, generate_series(1, ${BATCH}) as ordinal`,
    'insert into pending_batches select batch, count(*) from messages group by batch',
    `select setval('batches', ${PENDING / BATCH})`,
  )
  return url
}

/** Opens a store, and blocks the rollup by a lock while the backlog is above the threshold. */
async function openBlocked<Opened>(
  t: Test,
  url: string,
  open: () => Promise<Opened>,
  backlogOf: (opened: Opened) => number,
) {
  const locker = new pg.Client({ connectionString: url })
  await locker.connect()
  t.teardown(() => locker.end())
  await locker.query('begin')
  const opened = await open()
  await until(() => backlogOf(opened) > 0)
  await locker.query('update totals set messages = messages')
  await until(async () => (await lockWaiters(url)) === 1)
  t.ok(backlogOf(opened) > THROTTLED_ABOVE, `${backlogOf(opened)} are pending`)
  return { opened, release: () => locker.query('rollback') }
}

async function lockWaiters(url: string): Promise<number> {
  const waiting = `select from pg_stat_activity where datname = current_database()
    and wait_event_type = 'Lock' and query like '%update "totals"%'`
  return (await execute(url, waiting)).length
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await delay(10)
}

t.test('silently lost connections', { skip: NO_SERVER }, async (t) => {
  t.test('the rollup resumes, and ingest does not wait for it', async (t) => {
    const url = await createPending(t)
    const proxy = await startProxy(t, url)
    const { opened: store, release } = await openBlocked(
      t,
      url,
      () => openStore(t, proxy.url),
      ({ status }) => status.backlog,
    )
    let sent = 0
    const append = () => store.append([message({ message_id: `lost ${sent++}` })])
    proxy.lose()
    const lost = performance.now()
    await release()
    await until(() =>
      append().then(
        () => true,
        () => false,
      ),
    )

    const started = performance.now()
    for (let batch = 0; batch < BATCHES; batch++) await append()
    const took = performance.now() - started
    t.ok(took < BATCHES_WITHIN_MS, `${BATCHES} batches take ${took.toFixed(0)} ms`)
    await until(
      async () => (await execute(url, 'select from pending_batches limit 1')).length === 0,
    )
    const resumed = performance.now() - lost
    t.ok(resumed < RESUMED_WITHIN_MS, `all batches are rolled up after ${resumed.toFixed(0)} ms`)
    await store.ready()
  })

  t.test(
    'posts get 503 within the limit when the database stalls with a large backlog',
    async (t) => {
      const url = await createPending(t)
      const proxy = await startProxy(t, url)
      const database = { kind: 'postgres', url: proxy.url } as const
      const { opened } = await openBlocked(
        t,
        url,
        () => startApp(t, { database }),
        ({ app }) => app.store.status.backlog,
      )
      const { app } = opened
      proxy.stall()
      let slowest = 0
      const send = async (message_id: string): Promise<number> => {
        const started = performance.now()
        const { statusCode } = await post(app, wire({ message_id }))
        slowest = Math.max(slowest, performance.now() - started)
        return statusCode
      }
      const posts: Promise<number>[] = []
      for (let round = 0; round < 40; round++) {
        posts.push(send(`${round}`), send(`${round} too`))
        await delay(200)
      }
      t.strictSame(new Set(await Promise.all(posts)), new Set([503]))
      t.ok(slowest < POST_WITHIN_MS, `the slowest takes ${slowest.toFixed(0)} ms`)
    },
  )
})
