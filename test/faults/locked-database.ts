import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import { Connection, type RawAnswer } from '../connection.ts'
import { scale } from '../fault-scale.ts'
import { postOf } from '../load.ts'
import { folderOf, startService } from '../service.ts'

/** How long another program holds the lock. */
const LOCKED_MS = scale({ short: 6000, full: 10_000 })

/** Posts wait for this long at most, and a little for their turn. */
const PATIENCE_MS = 4000
const GRACE_MS = 1000

const POST_EVERY_MS = 200

t.setTimeout(60_000)

interface Post {
  id: string
  answer: RawAnswer
  ms: number
}

async function post(url: string, id: string): Promise<Post> {
  const connection = await Connection.to(url)
  const started = performance.now()
  connection.send(postOf(id))
  const answer = await connection.answer('POST')
  connection.close()
  return { id, answer, ms: performance.now() - started }
}

t.test(`another program locks the database for ${LOCKED_MS} ms`, async (t) => {
  const service = await startService(t)
  const other = new Database(`${folderOf(t)}/app.db`)
  t.equal((await post(service.url, 'before')).answer.status, 200)

  other.exec('begin immediate')
  const posts: Promise<Post>[] = []
  for (let ms = 0; ms < LOCKED_MS; ms += POST_EVERY_MS) {
    posts.push(post(service.url, `during-${ms}`))
    for (const path of ['/messages', '/stats', '/health/live']) {
      const started = performance.now()
      t.equal((await fetch(service.url + path)).status, 200, `${path} goes on`)
      t.ok(performance.now() - started < GRACE_MS, `${path} does not wait for the lock`)
    }
    await delay(POST_EVERY_MS)
  }
  t.equal((await fetch(`${service.url}/health/ready`)).status, 503)
  const locked = await Promise.all(posts)
  other.exec('rollback')

  const refused = locked.filter(({ answer }) => answer.status === 503)
  t.strictSame([...new Set(locked.map(({ answer }) => answer.status))], [503])
  t.ok(refused.every(({ answer }) => answer.headers['retry-after'] === '1'))
  const slowest = Math.max(...locked.map(({ ms }) => ms))
  t.ok(slowest > PATIENCE_MS / 2, `the first waited ${Math.round(slowest)} ms`)
  t.ok(slowest < PATIENCE_MS + GRACE_MS, 'and nobody much longer than the limit')

  t.equal((await fetch(`${service.url}/health/ready`)).status, 200, 'ready again at once')
  for (const { id } of refused) {
    t.equal((await post(service.url, id)).answer.status, 200, `${id} is taken when sent again`)
  }
  const stored = other.prepare('select message_id from messages order by seq').pluck().all()
  t.strictSame(stored, ['before', ...refused.map(({ id }) => id)], 'nothing was swallowed')
  other.close()
})

t.test('a lock that is shorter than the limit costs nobody more than time', async (t) => {
  const service = await startService(t)
  const other = new Database(`${folderOf(t)}/app.db`)
  other.exec('begin immediate')
  const posts = Array.from({ length: 20 }, (_, number) => post(service.url, `m${number}`))
  await delay(PATIENCE_MS / 2)
  other.exec('rollback')
  other.close()
  for (const { answer } of await Promise.all(posts)) t.equal(answer.status, 200)
})
