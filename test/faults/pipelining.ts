import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Connection } from '../connection.ts'
import { scale } from '../fault-scale.ts'
import { postOf } from '../load.ts'
import { startPipeliningClients } from '../pipelining-clients.ts'
import { resourcesOf } from '../scrape.ts'
import { startService } from '../service.ts'

const SECONDS = scale({ short: 6, full: 30 })
const TOKEN = 'a-token-of-32-characters-in-tests'
const MEMORY_MIB = 512

/** Requests a file that is larger than the socket buffers. */
const DOCS = 'GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n'
/** A post with a wrong signature. */
const WRONG = `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${'0'.repeat(64)}\r\nContent-Length: 2\r\n\r\n{}`

t.setTimeout(240_000)

/**
 * Sends requests repeatedly over one connection.
 * @returns the numbers of requests, of those that got 200 within a second, and of each status.
 */
async function measure(
  url: string,
  requestOf: (number: number) => string,
): Promise<{ sent: number; inTime: number; statuses: Map<number, number> }> {
  const statuses = new Map<number, number>()
  const until = performance.now() + SECONDS * 1000
  let connection: Connection | undefined
  let sent = 0
  let inTime = 0
  while (performance.now() < until) {
    const started = performance.now()
    let status = 0
    try {
      if (!connection?.open) connection = await Connection.to(url)
      connection.send(requestOf(sent++))
      const tooLate = setTimeout(() => connection?.close(), 3000)
      status = (await connection.readResponse('POST')).status
      clearTimeout(tooLate)
    } catch {
      connection?.close()
    }
    if (status === 200 && performance.now() - started < 1000) inTime++
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    await delay(50)
  }
  connection?.close()
  return { sent, inTime, statuses }
}

for (const connections of [2, 400])
  t.test(`serves other clients while ${connections} pipelining clients do not read`, async (t) => {
    const service = await startService(t, { API_TOKEN: TOKEN })
    const stop = await startPipeliningClients({
      url: service.url,
      connections,
      payload: DOCS.repeat(8) + WRONG.repeat(700),
      reconnectMs: 1900,
    })
    const [posts, reads] = await Promise.all([
      measure(service.url, (number) => postOf(`m${number}`)),
      measure(
        service.url,
        () => `GET /stats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
      ),
    ])
    const { memoryMiB } = resourcesOf(service)
    t.comment(`${await stop()} connections`)
    for (const [name, { sent, inTime, statuses }] of Object.entries({ posts, reads })) {
      const share = `${name}: ${inTime} of ${sent} got 200 within a second`
      t.ok(inTime >= sent * 0.9, `${share} (${JSON.stringify([...statuses])})`)
    }
    t.ok(memoryMiB < MEMORY_MIB, `${Math.round(memoryMiB)} MiB`)
  })

t.test('serves reads while clients pipeline 60 requests for the documentation', async (t) => {
  const service = await startService(t, { API_TOKEN: TOKEN })
  const stop = await startPipeliningClients({
    url: service.url,
    connections: 3,
    payload: DOCS.repeat(60),
    reconnectMs: 1900,
  })
  const { sent, inTime, statuses } = await measure(
    service.url,
    () => `GET /stats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
  )
  await stop()
  t.ok(inTime >= sent * 0.9, `${inTime} of ${sent} (${JSON.stringify([...statuses])})`)
})
