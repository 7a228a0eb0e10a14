import t from 'tap'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { Load } from '../load.ts'
import { startService } from '../service.ts'

const KILLS = scale({ short: 3, full: 20 })

/** Messages that are answered between two kills, at least. */
const BETWEEN = 500

t.setTimeout(300_000)

for (const { name, make } of databases)
  t.test(
    `${name}: killed ${KILLS} times under load, it has every message it acknowledged exactly once`,
    async (t) => {
      const database = await make(t)
      const start = () => startService(t, { DATABASE_URL: database.url })
      let service = await start()
      const load = new Load({ url: () => service.url, connections: 32, prefix: 'm', insist: true })
      for (let kill = 0; kill < KILLS; kill++) {
        await load.acknowledge(BETWEEN)
        service.process.kill('SIGKILL')
        t.equal(await service.ended, 'SIGKILL')
        service = await start()
      }
      await load.acknowledge(BETWEEN)
      const { acknowledged, lost } = await load.stop()
      t.ok(lost > 0, `${lost} requests were cut off, ${acknowledged.length} acknowledged`)

      const { total } = (await (await fetch(`${service.url}/messages?limit=1`)).json()) as {
        total: number
      }
      const stats = (await (await fetch(`${service.url}/stats`)).json()) as {
        total_messages: number
      }
      service.process.kill('SIGTERM')
      t.equal(await service.ended, 0)

      t.equal(database.integrity(), 'ok')
      const ids = await database.ids()
      const stored = new Set(ids)
      t.equal(stored.size, ids.length, 'no id is there twice')
      t.strictSame(
        acknowledged.filter((id) => !stored.has(id)),
        [],
        'nothing acknowledged is missing',
      )
      t.equal(new Set(acknowledged).size, acknowledged.length)
      t.equal(total, ids.length, 'the total is that of a recount')
      t.equal(stats.total_messages, ids.length, 'so are the statistics')
    },
  )
