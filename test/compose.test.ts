import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { ALL_SETTINGS, parseConfig } from '../src/config.ts'

const ROOT = new URL('../', import.meta.url)

interface Service {
  profiles?: string[]
  env_file?: unknown
  environment?: Record<string, string | null>
  image?: string
  ports?: string[]
  configs?: { source: string; target: string }[]
  networks?: { default?: { aliases: string[] } }
  volumes?: string[]
  healthcheck?: { test: unknown }
  depends_on?: string[] | Record<string, unknown>
}

const read = (path: string) =>
  parse(readFileSync(new URL(path, ROOT), 'utf8'), { merge: true, uniqueKeys: true })

const compose: {
  services: Record<string, Service>
  volumes: Record<string, null>
  configs: Record<string, { content: string }>
} = read('compose.yaml')
const { error: noPromtool } = spawnSync('promtool', ['--version'])
const skip = noPromtool !== undefined && 'promtool is not installed'

const services = Object.entries(compose.services)
const named = (profile: string | undefined) =>
  services
    .filter(([, { profiles }]) => (profile ? profiles?.includes(profile) : !profiles))
    .map(([name]) => name)

t.test('starts only webhook-api by default', async (t) => {
  t.strictSame(named(undefined), ['webhook-api'])
})

t.test('starts Prometheus and Grafana with the profile `observe`', async (t) => {
  t.strictSame(named('observe'), ['prometheus', 'grafana'])
})

t.test('starts all services of the scale-out with the profile `scale`', async (t) => {
  t.strictSame(named('scale'), [
    'grafana',
    'webhook-1',
    'webhook-2',
    'webhook-3',
    'load-balancer',
    'prometheus-scale',
    'postgres',
  ])
})

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
  const { scrape_configs } = read('deploy/prometheus/scale.yaml')
  const [{ targets }] = scrape_configs[0].static_configs
  const instances = named('scale').filter((name) => name.startsWith('webhook-'))
  t.strictSame(
    targets,
    instances.map((name) => `${name}:8000`),
  )
  for (const name of instances) t.match(balancer, `"${name}:8000"`)
})

t.test('each profile mounts a Prometheus configuration with the alerts', { skip }, async (t) => {
  for (const [name, profile] of [
    ['prometheus', 'observe'],
    ['prometheus-scale', 'scale'],
  ] as const) {
    const volumes = compose.services[name]?.volumes ?? []
    const file = `deploy/prometheus/${profile}.yaml`
    t.ok(volumes.includes(`./${file}:/etc/prometheus/prometheus.yml:ro`))
    const alerts = './deploy/prometheus/alerts.yaml:/etc/prometheus/alerts.yaml:ro'
    t.ok(volumes.includes(alerts))
    t.strictSame(read(file).rule_files, ['/etc/prometheus/alerts.yaml'])
    t.equal(read(file).scrape_configs[0].job_name, 'webhook', 'the job of the alerts')
    // With `--syntax-only`, as the files that it names are in the container.
    const path = new URL(file, ROOT).pathname
    const checked = spawnSync('promtool', ['check', 'config', '--syntax-only', path])
    t.equal(checked.status, 0, `${checked.stderr}`)
  }
})

t.test('Prometheus of the profile `observe` scrapes webhook-api with the token', async (t) => {
  const [job] = read('deploy/prometheus/observe.yaml').scrape_configs
  t.strictSame(job.static_configs, [{ targets: ['webhook-api:8000'] }])
  const [config] = compose.services.prometheus?.configs ?? []
  t.equal(config?.target, job.authorization.credentials_file)
  t.match(compose.configs[config?.source ?? '']?.content, 'METRICS_TOKEN')
})

t.test(
  'Grafana finds the Prometheus of either profile, and is private to the machine',
  async (t) => {
    const aliases = compose.services['prometheus-scale']?.networks?.default?.aliases
    t.strictSame(aliases, ['prometheus'])
    for (const name of ['prometheus', 'prometheus-scale', 'grafana']) {
      const { image, ports } = compose.services[name] ?? {}
      t.match(image, /:v?\d+\.\d+\.\d+$/, `${name}: exact version`)
      for (const port of ports ?? ['none']) t.match(port, /^127\.0\.0\.1:/, name)
    }
  },
)

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
