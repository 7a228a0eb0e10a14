import fc from 'fast-check'
import t from 'tap'
import { Connection, ConnectionLostError, type RawAnswer } from '../connection.ts'
import { ResponseContract } from '../contract.ts'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { type GeneratedRequest, requests } from '../requests.ts'
import { resourcesOf } from '../scrape.ts'
import { startService } from '../service.ts'

const REQUESTS = scale({ short: 5000, full: 100_000 })
const AT_ONCE = 16
const CHUNK = 500

/** Say which with `FUZZ_SEED` to send the same requests again. */
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)

/**
 * After this many requests everything is warm, and the memory is not to grow any more, but for what V8 leaves to its
 * next collection.
 */
const WARM = scale({ short: REQUESTS, full: 30_000 })
const GROWTH = 1.25

/** What the service may hold at the end, in MiB. */
const MEMORY_MIB = 512

t.setTimeout(600_000)

/** Sends the requests that ask one thing each, one after the other on a connection. */
class Asker {
  readonly #url: string
  #connection: Connection | undefined

  constructor(url: string) {
    this.#url = url
  }

  async ask({ bytes, asked }: GeneratedRequest): Promise<RawAnswer[]> {
    if (!asked) return this.#send(bytes)
    if (!this.#connection?.open) this.#connection = await Connection.to(this.#url)
    this.#connection.send(bytes)
    const answer = await this.#connection.answer(asked.method)
    if (answer.headers.connection === 'close') this.close()
    return [answer]
  }

  /** Sends bytes that may be anything, and nothing behind them. @returns what is answered until the service closes. */
  async #send(bytes: Buffer): Promise<RawAnswer[]> {
    const connection = await Connection.to(this.#url)
    connection.socket.end(bytes)
    const answers: RawAnswer[] = []
    try {
      const method = /^[\r\n]*HEAD /.test(bytes.toString('latin1', 0, 20)) ? 'HEAD' : 'GET'
      for (;;) answers.push(await connection.answer(method))
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error
    }
    connection.close()
    return answers
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
  }
}

/** What is wrong with an answer to bytes that may be anything: the operation is not known. */
function wrongAnyway({ status, headers, body }: RawAnswer): string | undefined {
  if (!headers['x-request-id'] && status !== 200) return `${status} without X-Request-ID`
  if (status < 400 || body === '') return undefined
  return /^\{"detail":("[^"]+"|\[.+\])\}$/.test(body) ? undefined : `${status} with ${body}`
}

for (const { name, make } of databases)
  t.test(`${name}: ${REQUESTS} generated requests, FUZZ_SEED=${SEED}`, async (t) => {
    const { url } = await make(t)
    // Without the limit on failures, which would answer for most of what is refused.
    const settings = { DATABASE_URL: url, MAX_FAILURES_PER_MINUTE: '0' }
    const service = await startService(t, settings)
    const document = await (await fetch(`${service.url}/openapi.json`)).json()
    const contract = new ResponseContract(document)
    const statuses = new Map<number, number>()
    const wrong: string[] = []

    const judge = (number: number, { bytes, asked }: GeneratedRequest, answer: RawAnswer): void => {
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      const violation =
        answer.status >= 500
          ? `was answered ${answer.status}`
          : asked
            ? contract.violation({ ...asked, ...answer })
            : wrongAnyway(answer)
      if (violation) {
        wrong.push(
          `request ${number}: ${violation}\n${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}`,
        )
      }
    }

    const askers = Array.from({ length: AT_ONCE }, () => new Asker(service.url))
    let number = 0
    let warmMiB = Number.NaN
    for (let chunk = 0; number < REQUESTS && wrong.length < 20; chunk++) {
      const generated = fc.sample(requests, { seed: SEED + chunk, numRuns: CHUNK }).entries()
      await Promise.all(
        askers.map(async (asker) => {
          // They share the iterator, so that each request is sent once.
          for (const [at, request] of generated) {
            try {
              for (const answer of await asker.ask(request))
                judge(chunk * CHUNK + at, request, answer)
            } catch (error) {
              wrong.push(
                `request ${chunk * CHUNK + at}: ${error}\n${JSON.stringify(request.bytes.toString('latin1').slice(0, 2000))}`,
              )
            }
          }
        }),
      )
      number += CHUNK
      if (Number.isNaN(warmMiB) && number >= WARM) warmMiB = resourcesOf(service).memoryMiB
    }
    for (const asker of askers) asker.close()
    const { memoryMiB } = resourcesOf(service)

    t.strictSame(wrong, [], 'no 5xx, nothing of the inside, nothing that OpenAPI does not allow')
    t.comment(
      `answers: ${[...statuses]
        .sort()
        .map((entry) => entry.join(' × '))
        .join(', ')}`,
    )
    t.ok(
      memoryMiB < Math.min(warmMiB * GROWTH, MEMORY_MIB),
      `memory does not grow: ${Math.round(warmMiB)} MiB warm, ${Math.round(memoryMiB)} at the end`,
    )
    t.equal((await fetch(`${service.url}/health/ready`)).status, 200)
    const { total } = (await (await fetch(`${service.url}/messages?limit=1`)).json()) as {
      total: number
    }
    t.ok(total > REQUESTS / 20, `${total} of them were messages`)
    t.equal(service.stderr(), '')
  })
