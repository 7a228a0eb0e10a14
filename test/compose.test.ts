import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { ALL_SETTINGS, parseConfig } from '../src/config.ts'

const ROOT = new URL('../', import.meta.url)

interface Service {
  profiles?: string[]
  env_file?: unknown
  environment?: Record<string, string | null>
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

t.test(
  'starts only webhook-api by default, and all services of the scale-out with profile `scale`',
  async (t) => {
    t.strictSame(named(undefined), ['webhook-api'])
    t.strictSame(named('scale'), [
      'webhook-1',
      'webhook-2',
      'webhook-3',
      'load-balancer',
      'prometheus',
      'postgres',
    ])
  },
)

t.test('every health check, volume and dependency that a service names exists', async (t) => {
  for (const [name, { healthcheck, volumes = [], depends_on = [] }] of services) {
    const words: unknown = healthcheck?.test ?? []
    t.ok(
      Array.isArray(words) && words.every((word) => typeof word === 'string'),
      `${name}: health check`,
    )
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

t.test('the load balancer and Prometheus are configured with every instance', async (t) => {
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

t.test(
  'SHUTDOWN_DELAY_MS is longer than the load balancer takes to detect a stopping instance',
  async (t) => {
    const balancer = readFileSync(new URL('deploy/haproxy.cfg', ROOT), 'utf8')
    const [inter, fastinter, fall] = [/ inter (\d+)ms/, / fastinter (\d+)ms/, / fall (\d+)/].map(
      (setting) => Number(setting.exec(balancer)?.[1]),
    )
    const [, { environment } = {}] = services.find(([name]) => name === 'webhook-1') ?? []
    const needed = (inter ?? 0) + (fastinter ?? 0) * ((fall ?? 0) - 1)
    t.equal(needed, 700)
    t.ok(Number(environment?.SHUTDOWN_DELAY_MS) > 2 * needed)
  },
)

const text = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

/** The names of all variables: each setting, and the file that may hold it. */
const VARIABLES = ALL_SETTINGS.flatMap(({ name, secret }) =>
  secret ? [name, `${name}_FILE`] : name,
)

t.test('passes every setting from the shell or .env to the containers', async (t) => {
  for (const name of ['webhook-api', 'webhook-1', 'webhook-2', 'webhook-3']) {
    const { environment = {}, env_file } = compose.services[name] ?? {}
    t.strictSame(Object.keys(environment).sort(), VARIABLES.toSorted(), name)
    t.strictSame(env_file, [{ path: '.env', required: false }], name)
  }
  const { environment = {} } = compose.services['webhook-api'] ?? {}
  const fixed = Object.entries(environment).filter(([, value]) => value !== null)
  t.strictSame(Object.fromEntries(fixed), { HOST: '0.0.0.0', PORT: '8000' })
  t.notMatch(text('compose.yaml'), /\$\{[A-Z_]+:?\?/, 'no variable is required')
})

t.test('.env.example lists every setting with its default, commented out', async (t) => {
  const example = text('.env.example')
  const examples = [...example.matchAll(/^# ?([A-Z_]+)=(.*)$/gm)]
  t.strictSame(examples.map(([, name]) => name).sort(), VARIABLES.toSorted())
  const values = Object.fromEntries(examples.map(([, name, value]) => [name, value]))
  for (const { name, default: fallback } of ALL_SETTINGS) t.equal(values[name], fallback, name)
  for (const line of example.split('\n')) t.match(line, /^(#.*)?$/)
  t.strictSame(parseConfig(values), parseConfig({}))
})
