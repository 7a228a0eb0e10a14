import t from 'tap'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { assertFeed, startConsumers } from '../feed-consumers.ts'
import { Load } from '../load.ts'
import { startService } from '../service.ts'
import { ALL_SOURCES, idOfSource, postOfSources, siblingsOf } from '../sources/posts.ts'

const KILLS = scale({ short: 3, full: 20 })

/** Minimum number of messages that are acknowledged between two kills. */
const MESSAGES_BETWEEN = 500

t.setTimeout(300_000)

for (const { name, make } of databases)
  t.test(
    `${name}: stores every acknowledged message exactly once when killed ${KILLS} times under load`,
    async (t) => {
      const database = await make(t)
      const start = () => startService(t, { DATABASE_URL: database.url, ...ALL_SOURCES })
      let service = await start()
      const consumers = startConsumers(t, () => service.url)
      const load = new Load({
        url: () => service.url,
        connections: 32,
        idOf: idOfSource,
        requestOf: postOfSources,
        retry: true,
      })
      for (let kill = 0; kill < KILLS; kill++) {
        await load.untilAcknowledged(MESSAGES_BETWEEN)
        service.process.kill('SIGKILL')
        t.equal(await service.ended, 'SIGKILL')
        service = await start()
      }
      await load.untilAcknowledged(MESSAGES_BETWEEN)
      const { acknowledged, lost } = await load.stop()
      t.ok(lost > 0, `${lost} requests were lost, ${acknowledged.length} acknowledged`)

      const fed = await assertFeed(t, consumers, service.url, acknowledged.flatMap(siblingsOf))
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
      const stored = new Set(ids.map(String))
      t.equal(stored.size, ids.length, 'no id is stored twice')
      t.strictSame(
        acknowledged.flatMap(siblingsOf).filter((id) => !stored.has(id)),
        [],
        'nothing acknowledged is missing',
      )
      t.strictSame(
        [...stored].flatMap(siblingsOf).filter((id) => !stored.has(id)),
        [],
        'of every body, all messages are stored or none',
      )
      t.equal(new Set(acknowledged).size, acknowledged.length)
      t.equal(fed.length, ids.length, 'the feed has every stored message')
      t.equal(total, ids.length, 'the total equals a recount')
      t.equal(stats.total_messages, ids.length, 'the statistics equal a recount')
    },
  )
