import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import { Connection, type RawResponse } from '../connection.ts'
import { scale } from '../fault-scale.ts'
import { assertFeed, startConsumers } from '../feed-consumers.ts'
import { postOf } from '../load.ts'
import { folderOf, startService } from '../service.ts'

/** Milliseconds for which another program holds the lock. */
const LOCKED_MS = scale({ short: 6000, full: 10_000 })

/** Maximum time in milliseconds for which a post waits for the lock. */
const LOCK_TIMEOUT_MS = 4000
/** Tolerance of time limits on a busy machine. */
const GRACE_MS = 1000

const POST_EVERY_MS = 200

t.setTimeout(60_000)

interface Post {
  id: string
  response: RawResponse
  ms: number
}

async function post(url: string, id: string): Promise<Post> {
  const connection = await Connection.to(url)
  const started = performance.now()
  connection.send(postOf(id))
  const response = await connection.readResponse('POST')
  connection.close()
  return { id, response, ms: performance.now() - started }
}

t.test(`posts get 503 while another program locks the database for ${LOCKED_MS} ms`, async (t) => {
  const service = await startService(t)
  const consumers = startConsumers(t, () => service.url)
  const other = new Database(`${folderOf(t)}/app.db`)
  t.equal((await post(service.url, 'before')).response.status, 200)

  other.exec('begin immediate')
  const posts: Promise<Post>[] = []
  for (let ms = 0; ms < LOCKED_MS; ms += POST_EVERY_MS) {
    posts.push(post(service.url, `during-${ms}`))
    for (const path of ['/messages', '/stats', '/health/live']) {
      const started = performance.now()
      t.equal((await fetch(service.url + path)).status, 200, `${path} is served`)
      t.ok(performance.now() - started < GRACE_MS, `${path} does not wait for the lock`)
    }
    await delay(POST_EVERY_MS)
  }
  t.equal((await fetch(`${service.url}/health/ready`)).status, 503)
  const locked = await Promise.all(posts)
  other.exec('rollback')

  const rejected = locked.filter(({ response }) => response.status === 503)
  t.strictSame([...new Set(locked.map(({ response }) => response.status))], [503])
  t.ok(rejected.every(({ response }) => response.headers['retry-after'] === '1'))
  const slowest = Math.max(...locked.map(({ ms }) => ms))
  t.ok(slowest > LOCK_TIMEOUT_MS / 2, `the first waited ${Math.round(slowest)} ms`)
  t.ok(slowest < LOCK_TIMEOUT_MS + GRACE_MS, 'no post waits longer than the limit')

  t.equal((await fetch(`${service.url}/health/ready`)).status, 200, 'ready again at once')
  for (const { id } of rejected) {
    t.equal((await post(service.url, id)).response.status, 200, `${id} is stored when sent again`)
  }
  const stored = other
    .prepare('select message_id from messages order by seq')
    .pluck()
    .all()
    .map(String)
  t.strictSame(
    stored,
    ['before', ...rejected.map(({ id }) => id)],
    'exactly the acknowledged messages are stored',
  )
  other.close()
  t.strictSame(await assertFeed(t, consumers, service.url, stored), stored, 'the feed has the same')
})

t.test('posts succeed after a lock that is shorter than the limit', async (t) => {
  const service = await startService(t)
  const other = new Database(`${folderOf(t)}/app.db`)
  other.exec('begin immediate')
  const posts = Array.from({ length: 20 }, (_, number) => post(service.url, `m${number}`))
  await delay(LOCK_TIMEOUT_MS / 2)
  other.exec('rollback')
  other.close()
  for (const { response } of await Promise.all(posts)) t.equal(response.status, 200)
})
