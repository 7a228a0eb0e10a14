import fc from 'fast-check'
import t from 'tap'
import { Connection, ConnectionLostError, type RawResponse } from '../connection.ts'
import { ResponseContract } from '../contract.ts'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { type GeneratedRequest, requests } from '../requests.ts'
import { resourcesOf } from '../scrape.ts'
import { startService } from '../service.ts'
import { ALL_SOURCES } from '../sources/posts.ts'

const REQUESTS = scale({ short: 5000, full: 100_000 })
const CONNECTIONS = 16
const CHUNK = 500

/** Seed of the generated requests; set `FUZZ_SEED` to repeat a run. */
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)

/**
 * Number of requests after which memory must not grow by more than the factor `GROWTH`.
 * The factor allows for garbage that is not collected yet.
 */
const WARM_UP = scale({ short: REQUESTS, full: 30_000 })
const GROWTH = 1.25

/** Maximum memory of the service at the end, in MiB. */
const MEMORY_MIB = 512

t.setTimeout(600_000)

/** Sends requests one after the other over one connection, malformed ones over a new one each. */
class Client {
  readonly #url: string
  #connection: Connection | undefined

  constructor(url: string) {
    this.#url = url
  }

  async send({ bytes, requestLine }: GeneratedRequest): Promise<RawResponse[]> {
    if (!requestLine) return this.#sendRaw(bytes)
    if (!this.#connection?.open) this.#connection = await Connection.to(this.#url)
    this.#connection.send(bytes)
    const response = await this.#connection.readResponse(requestLine.method)
    if (response.headers.connection === 'close') this.close()
    return [response]
  }

  /** Sends arbitrary bytes and half-closes. @returns the responses until the service closes. */
  async #sendRaw(bytes: Buffer): Promise<RawResponse[]> {
    const connection = await Connection.to(this.#url)
    connection.socket.end(bytes)
    const responses: RawResponse[] = []
    try {
      const method = /^[\r\n]*HEAD /.test(bytes.toString('latin1', 0, 20)) ? 'HEAD' : 'GET'
      for (;;) responses.push(await connection.readResponse(method))
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error
    }
    connection.close()
    return responses
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
  }
}

/** Returns the violation in a response to arbitrary bytes, whose operation is unknown, if any. */
function violationOfUnknown({ status, headers, body }: RawResponse): string | undefined {
  if (!headers['x-request-id'] && status !== 200) return `${status} without X-Request-ID`
  if (status < 400 || body === '') return undefined
  return /^\{"detail":("[^"]+"|\[.+\])\}$/.test(body) ? undefined : `${status} with ${body}`
}

for (const { name, make } of databases)
  t.test(`${name}: conforms to OpenAPI for ${REQUESTS} requests, FUZZ_SEED=${SEED}`, async (t) => {
    const { url } = await make(t)
    // Without the limit on failures, since most rejected requests would get 429 otherwise.
    const settings = { DATABASE_URL: url, MAX_FAILURES_PER_MINUTE: '0', ...ALL_SOURCES }
    const service = await startService(t, settings)
    const document = await (await fetch(`${service.url}/openapi.json`)).json()
    const contract = new ResponseContract(document)
    const statuses = new Map<number, number>()
    const violations: string[] = []

    const check = (
      number: number,
      { bytes, requestLine }: GeneratedRequest,
      response: RawResponse,
    ): void => {
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
      const violation =
        response.status >= 500
          ? `returned ${response.status}`
          : requestLine
            ? contract.violation({ ...requestLine, ...response })
            : violationOfUnknown(response)
      if (violation) {
        violations.push(
          `request ${number}: ${violation}\n${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}`,
        )
      }
    }

    const clients = Array.from({ length: CONNECTIONS }, () => new Client(service.url))
    let number = 0
    let warmMiB = Number.NaN
    for (let chunk = 0; number < REQUESTS && violations.length < 20; chunk++) {
      const generated = fc.sample(requests, { seed: SEED + chunk, numRuns: CHUNK }).entries()
      await Promise.all(
        clients.map(async (client) => {
          // All clients share the iterator, so that each request is sent once.
          for (const [at, request] of generated) {
            try {
              for (const response of await client.send(request))
                check(chunk * CHUNK + at, request, response)
            } catch (error) {
              violations.push(
                `request ${chunk * CHUNK + at}: ${error}\n${JSON.stringify(request.bytes.toString('latin1').slice(0, 2000))}`,
              )
            }
          }
        }),
      )
      number += CHUNK
      if (Number.isNaN(warmMiB) && number >= WARM_UP) warmMiB = resourcesOf(service).memoryMiB
    }
    for (const client of clients) client.close()
    const { memoryMiB } = resourcesOf(service)

    t.strictSame(
      violations,
      [],
      'no 5xx, no internal details, only responses that OpenAPI describes',
    )
    t.comment(
      `responses: ${[...statuses]
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
    t.ok(total > REQUESTS / 20, `${total} of the requests stored a message`)
    t.equal(service.stderr(), '')
  })
