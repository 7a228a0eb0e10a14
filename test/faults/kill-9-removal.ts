import t, { type Test } from 'tap'
import { until } from '../../tools/until.ts'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { Load } from '../load.ts'
import { runEntry, type Service, sign, spawnEntry, startService, wire } from '../service.ts'
import { assertVerified } from '../verified.ts'

const KILLS = scale({ short: 3, full: 20 })

/** Minimum number of messages that are acknowledged between two kills. */
const MESSAGES_BETWEEN = 500

/** Sender of every fifth message, which is erased repeatedly. */
const ERASED = '+5550005'

t.setTimeout(300_000)

/** Whether the message with this id is older than the retention: every third one. */
const isOld = (id: string) => Number(id) % 3 === 0

/** Whether the message with this id is from the erased sender. */
const isErased = (id: string) => Number(id) % 5 === 0

function requestOf(id: string): string {
  const ts = new Date(Date.now() - (isOld(id) ? 30 : 1) * 86_400_000).toISOString()
  const from = isErased(id) ? ERASED : `+1${Number(id) % 100}`
  const body = wire({ message_id: id, from, ts, text: `text ${id}` })
  return `POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** Erases the sender again and again; `kill` ends the running command at any moment. */
function startErasing(t: Test, environment: Record<string, string>) {
  let stopping = false
  let kill = () => {}
  const stopped = (async () => {
    while (!stopping) {
      const { child, ended } = spawnEntry(t, ['erase', '--from', ERASED, '--yes'], environment)
      kill = () => child.kill('SIGKILL')
      await ended
    }
  })()
  return {
    kill: () => kill(),
    stop(): Promise<void> {
      stopping = true
      return stopped
    },
  }
}

async function getJson(service: Service, path: string) {
  const response = await fetch(service.url + path)
  return JSON.parse(await response.text())
}

/** Reads the whole feed. */
async function readFeed(service: Service): Promise<string[]> {
  const ids: string[] = []
  for (let query = ''; ; ) {
    const page = await getJson(service, `/feed?limit=1000${query}`)
    ids.push(...page.data.map(({ message_id }: { message_id: string }) => message_id))
    if (page.done) return ids
    query = `&cursor=${page.next}`
  }
}

for (const { name, make } of databases)
  t.test(
    `${name}: removes what it must and nothing else when retention and erasures are killed ${KILLS} times`,
    async (t) => {
      const database = await make(t)
      const environment = { DATABASE_URL: database.url }
      const start = () => startService(t, { ...environment, RETENTION_DAYS: '7' })
      let service = await start()
      const load = new Load({ url: () => service.url, connections: 16, requestOf, retry: true })
      const erasing = startErasing(t, environment)
      for (let kill = 0; kill < KILLS; kill++) {
        await load.untilAcknowledged(MESSAGES_BETWEEN)
        erasing.kill()
        service.process.kill('SIGKILL')
        t.equal(await service.ended, 'SIGKILL')
        service = await start()
      }
      const { acknowledged } = await load.stop()
      await erasing.stop()
      const last = await runEntry(t, ['erase', '--from', ERASED, '--yes'], environment)
      t.equal(last.status, 0, last.stderr)

      const expected = acknowledged.filter((id) => !isOld(id) && !isErased(id))
      const limit = new Date(Date.now() - 8 * 86_400_000).toISOString()
      await until('all expired messages are removed', async () => {
        const { total } = await getJson(service, `/messages?limit=1&until=${limit}`)
        return total === 0
      })
      t.equal((await getJson(service, `/messages?limit=1&from=%2B${ERASED.slice(1)}`)).total, 0)
      const { total_messages } = await getJson(service, '/stats')
      await until('the feed has the last message', async () => {
        return (await readFeed(service)).length >= total_messages
      })
      const fed = (await readFeed(service)).sort()
      service.process.kill('SIGTERM')
      t.equal(await service.ended, 0)

      t.equal(database.integrity(), 'ok')
      const stored = (await database.ids()).map(String).sort()
      const left = new Set(stored)
      t.strictSame(fed, stored, 'the feed has all that is left')
      t.equal(total_messages, stored.length, 'the statistics equal a recount')
      t.strictSame(
        expected.filter((id) => !left.has(id)),
        [],
        'nothing else is removed',
      )
      t.strictSame(
        stored.filter((id) => isOld(id) || isErased(id)),
        [],
        'nothing is left',
      )
      await assertVerified(t, environment, stored.length)
    },
  )
