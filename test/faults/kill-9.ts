import Database from 'better-sqlite3'
import t from 'tap'
import { extent } from '../extent.ts'
import { folderOf, startService } from '../helper.ts'
import { Load } from '../load.ts'

const KILLS = extent({ short: 3, full: 20 })

/** Messages that are answered between two kills, at least. */
const BETWEEN = 500

t.setTimeout(300_000)

t.test(
  `killed ${KILLS} times under load, it has every message it acknowledged exactly once`,
  async (t) => {
    let service = await startService(t)
    const load = new Load({ url: () => service.url, connections: 32, prefix: 'm', insist: true })
    for (let kill = 0; kill < KILLS; kill++) {
      await load.acknowledge(BETWEEN)
      service.process.kill('SIGKILL')
      t.equal(await service.ended, 'SIGKILL')
      service = await startService(t)
    }
    await load.acknowledge(BETWEEN)
    const { acknowledged, lost } = await load.stop()
    t.ok(lost > 0, `${lost} requests were cut off, ${acknowledged.length} acknowledged`)

    const { total } = (await (await fetch(`${service.url}/messages?limit=1`)).json()) as {
      total: number
    }
    const stats = (await (await fetch(`${service.url}/stats`)).json()) as { total_messages: number }
    service.process.kill('SIGTERM')
    t.equal(await service.ended, 0)

    const database = new Database(`${folderOf(t)}/app.db`, { readonly: true })
    t.teardown(() => database.close())
    t.equal(database.pragma('integrity_check', { simple: true }), 'ok')
    const ids = database.prepare('select message_id from messages').pluck().all()
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
