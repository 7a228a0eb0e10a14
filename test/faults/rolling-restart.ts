import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { assertFeed, startConsumers } from '../feed-consumers.ts'
import { Load } from '../load.ts'
import { type Service, startService } from '../service.ts'

const RESTARTS = scale({ short: 2, full: 10 })

/** Interval in milliseconds of the readiness checks of the balancer. */
const CHECK_EVERY_MS = 100
/** Long enough for the balancer to detect a stopping service. */
const SHUTDOWN_DELAY_MS = 1000

t.setTimeout(240_000)

/** A load balancer that sends requests to the last service that was ready at the previous check. */
class Balancer {
  readonly #services: Service[] = []
  readonly #ready = new Set<Service>()
  #checking = true
  readonly #checked: Promise<void>

  constructor(first: Service) {
    this.#services.push(first)
    this.#ready.add(first)
    this.#checked = this.#check()
  }

  /** Adds a service. Resolves once it is ready and receives requests. */
  async add(service: Service): Promise<void> {
    this.#services.push(service)
    while (!this.#ready.has(service)) await delay(CHECK_EVERY_MS / 2)
  }

  readonly url = (): string => {
    const [service] = [...this.#ready].slice(-1)
    if (!service) throw new Error('no service is ready')
    return service.url
  }

  async stop(): Promise<void> {
    this.#checking = false
    await this.#checked
  }

  async #check(): Promise<void> {
    while (this.#checking) {
      for (const service of this.#services) {
        const ready = await fetch(`${service.url}/health/ready`).catch(() => undefined)
        if (ready?.ok) this.#ready.add(service)
        else this.#ready.delete(service)
      }
      await delay(CHECK_EVERY_MS)
    }
  }
}

for (const { name, make } of databases)
  t.test(`${name}: ${RESTARTS} rolling restarts under load fail no request`, async (t) => {
    const { url } = await make(t)
    const settings = { DATABASE_URL: url, SHUTDOWN_DELAY_MS: String(SHUTDOWN_DELAY_MS) }
    const start = () => startService(t, settings)
    let service = await start()
    const balancer = new Balancer(service)
    const consumers = startConsumers(t, balancer.url)
    const load = new Load({ url: balancer.url, connections: 32, prefix: 'm' })
    for (let restart = 0; restart < RESTARTS; restart++) {
      await load.untilAcknowledged(200)
      const next = await start()
      await balancer.add(next)
      service.process.kill('SIGTERM')
      t.equal(await service.ended, 0)
      service = next
    }
    await load.untilAcknowledged(200)
    const { acknowledged, statuses, lost } = await load.stop()
    await balancer.stop()
    t.strictSame([...statuses.keys()], [200], 'every request got 200')
    t.equal(lost, 0, 'no connection was lost')
    const stats = (await (await fetch(`${service.url}/stats`)).json()) as { total_messages: number }
    t.equal(
      stats.total_messages,
      acknowledged.length,
      'exactly the acknowledged messages are stored',
    )
    const fed = await assertFeed(t, consumers, service.url, acknowledged)
    t.equal(fed.length, acknowledged.length, 'the feed has exactly the acknowledged messages')
  })
