import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'

const ROOT = new URL('../', import.meta.url)

interface Service {
  profiles?: string[]
  environment?: Record<string, string>
  volumes?: string[]
  healthcheck?: { test: unknown }
  depends_on?: string[] | Record<string, unknown>
}

const read = (path: string) =>
  parse(readFileSync(new URL(path, ROOT), 'utf8'), { merge: true, uniqueKeys: true })

const compose: { services: Record<string, Service>; volumes: Record<string, null> } =
  read('compose.yaml')
const services = Object.entries(compose.services)
const named = (profile: string | undefined) =>
  services.filter(([, { profiles }]) => profiles?.[0] === profile).map(([name]) => name)

t.test('without a profile there is the service alone, with it all that many need', async (t) => {
  t.strictSame(named(undefined), ['webhook-api'])
  t.strictSame(named('scale'), [
    'webhook-1',
    'webhook-2',
    'webhook-3',
    'load-balancer',
    'prometheus',
    'postgres',
  ])
})

t.test('what a service names is there', async (t) => {
  for (const [name, { healthcheck, volumes = [], depends_on = [] }] of services) {
    const words: unknown = healthcheck?.test ?? []
    t.ok(Array.isArray(words) && words.every((word) => typeof word === 'string'), `${name}: probe`)
    for (const volume of volumes) {
      const [source = ''] = volume.split(':')
      const known = source.startsWith('./')
        ? existsSync(new URL(source, ROOT))
        : Object.hasOwn(compose.volumes, source)
      t.ok(known, `${name}: ${source}`)
    }
    const others = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on)
    for (const other of others) t.ok(Object.hasOwn(compose.services, other), `${name}: ${other}`)
  }
})

t.test('the load balancer and Prometheus know every instance', async (t) => {
  const balancer = readFileSync(new URL('deploy/haproxy.cfg', ROOT), 'utf8')
  const { scrape_configs } = read('deploy/prometheus.yaml')
  const [{ targets }] = scrape_configs[0].static_configs
  const instances = named('scale').filter((name) => name.startsWith('webhook-'))
  t.strictSame(
    targets,
    instances.map((name) => `${name}:8000`),
  )
  for (const name of instances) t.match(balancer, `"${name}:8000"`)
})

t.test('an instance has longer to stop than the load balancer needs to leave it', async (t) => {
  const balancer = readFileSync(new URL('deploy/haproxy.cfg', ROOT), 'utf8')
  const [inter, fastinter, fall] = [/ inter (\d+)ms/, / fastinter (\d+)ms/, / fall (\d+)/].map(
    (setting) => Number(setting.exec(balancer)?.[1]),
  )
  const [, { environment } = {}] = services.find(([name]) => name === 'webhook-1') ?? []
  const needed = (inter ?? 0) + (fastinter ?? 0) * ((fall ?? 0) - 1)
  t.equal(needed, 700)
  t.ok(Number(environment?.SHUTDOWN_DELAY_MS) > 2 * needed)
})
