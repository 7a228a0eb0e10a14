import t from 'tap'
import { until } from '../../tools/until.ts'
import { databases } from '../databases.ts'
import { Scrape } from '../scrape.ts'
import { type Service, sign, startApp, startService, wire } from '../service.ts'
import { assertVerified } from '../verified.ts'

const DAY_MS = 86_400_000

/** Returns the timestamp of this many days ago. */
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString()

async function post(service: Service, id: string, ts: string): Promise<void> {
  const body = wire({ message_id: id, ts })
  const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
  const { status } = await fetch(`${service.url}/webhook`, { method: 'POST', headers, body })
  if (status !== 200) throw new Error(`${id}: ${status}`)
}

async function idsOf(service: Service): Promise<string[]> {
  const response = await fetch(`${service.url}/messages?limit=100`)
  const { data }: { data: { message_id: string }[] } = JSON.parse(await response.text())
  return data.map(({ message_id }) => message_id)
}

for (const { name, make } of databases) {
  t.test(`${name}: removes messages that are older than RETENTION_DAYS`, async (t) => {
    const { url } = await make(t)
    const keeping = await startService(t, { DATABASE_URL: url })
    await post(keeping, 'old', daysAgo(30))
    await post(keeping, 'new', daysAgo(6))
    t.equal((await Scrape.of(keeping)).sum('retention_lag_seconds'), 0, 'all are kept by default')
    keeping.process.kill('SIGTERM')
    await keeping.ended

    const service = await startService(t, { DATABASE_URL: url, RETENTION_DAYS: '7' })
    await until('the old message is removed', async () => (await idsOf(service)).join() === 'new')
    t.match(
      service.log.find(({ days }) => days === 7),
      { msg: 'removing messages that are older than RETENTION_DAYS' },
    )
    await post(service, 'late', daysAgo(8))
    await until('the late message is removed', async () => (await idsOf(service)).join() === 'new')
    const scrape = await Scrape.of(service)
    t.equal(scrape.sum('retention_deleted_messages_total'), 2)
    t.equal(scrape.sum('retention_lag_seconds'), 0)
    service.process.kill('SIGTERM')
    t.equal(await service.ended, 0)
    await assertVerified(t, { DATABASE_URL: url }, 1)
  })
}

t.test('exports the lag and warns once while messages cannot be removed', async (t) => {
  const { app, log } = await startApp(t, { retentionDays: 7 })
  const oldest = daysAgo(9).slice(0, 19)
  let steps = 0
  app.store.removal.removeExpired = async () => {
    if (++steps > 1) throw new Error('locked')
    return { removed: 5, done: false, oldest }
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  await until('the second step', () => steps === 2)
  const { body } = await app.inject('/metrics')
  const [, lag = ''] = /^retention_lag_seconds (\S+)$/m.exec(body) ?? []
  t.ok(Math.abs(Number(lag) - 2 * 86_400) < 60, lag)
  t.match(body, /^retention_deleted_messages_total 5$/m)
  await until('a third step', () => steps === 3)
  const warnings = log.filter(({ cause }) => cause !== undefined)
  t.match(warnings, [
    { msg: 'expired messages could not be removed', cause: { message: 'locked' } },
  ])
})
