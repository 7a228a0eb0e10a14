import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { type Prometheus, SCRAPE_INTERVAL_S, startPrometheus } from '../../tools/prometheus.ts'
import { until } from '../../tools/until.ts'
import { createDatabase, NO_SERVER, SERVER } from '../db/postgres/server.ts'
import { openStream } from '../event-stream.ts'
import { Load } from '../load.ts'
import { folderOf, type Service, sign, startService } from '../service.ts'
import { ALL_SOURCES, idOfSource, postOfSources } from '../sources/posts.ts'
import { dashboardExpressions, metricsOf } from './dashboard.ts'

const RULES = new URL('../../deploy/prometheus/alerts.yaml', import.meta.url).pathname
const { groups }: { groups: { rules: { expr: string }[] }[] } = parse(readFileSync(RULES, 'utf8'))

const { error: noPrometheus } = spawnSync('prometheus', ['--version'])
const skip = noPrometheus !== undefined && 'prometheus is not installed'

/** Token of the scrapes. */
const METRICS_TOKEN = 'metrics-token'

/** Milliseconds between the requests of a client. */
const PAUSE_MS = 20

/** Returns an expression with the values of its variables, as Grafana substitutes them for all instances. */
function withVariables(expression: string): string {
  return expression
    .replaceAll('$__rate_interval', `${4 * SCRAPE_INTERVAL_S}s`)
    .replaceAll('$instance', '.+')
}

/**
 * Returns an expression that has data if and only if all parts of the original one have.
 * A comparison drops the series for which it is false; with `bool` it returns 0 or 1 instead. The default
 * `or vector(0)` would hide a metric that does not exist. There is no data from before the test for an offset.
 */
function withoutFilters(expression: string): string {
  return expression
    .replaceAll(/ (==|!=|<=|>=|<|>) /g, ' $1 bool ')
    .replaceAll(' or vector(0)', '')
    .replaceAll(/ offset \w+/g, '')
}

/**
 * Makes requests of every kind until the test ends.
 * Signed bodies that are rejected make an alert fire, which the dashboard counts.
 */
function startTraffic(t: Test, service: Service): void {
  const posts = new Load({
    url: () => service.url,
    connections: 1,
    idOf: idOfSource,
    requestOf: postOfSources,
    pauseMs: PAUSE_MS,
  })
  let isStopping = false
  const read = async () => {
    const reads = ['/messages', '/stats', '/feed', '/messages/missing']
    while (!isStopping) {
      for (const path of reads) await (await fetch(`${service.url}${path}`)).text()
      for (const headers of [{}, { 'x-signature': sign('{}') }]) {
        const request = { method: 'POST', body: '{}', headers }
        await (await fetch(`${service.url}/webhook`, request)).text()
      }
      await new Promise((next) => setTimeout(next, PAUSE_MS))
    }
  }
  const reading = read()
  t.teardown(async () => {
    isStopping = true
    await Promise.all([posts.stop(), reading])
  })
}

/** Starts Prometheus with the alerts, which scrapes these services with a token. */
async function startScraping(t: Test, services: Service[]): Promise<Prometheus> {
  const folder = folderOf(t)
  writeFileSync(`${folder}/metrics-token`, METRICS_TOKEN)
  const job = {
    job_name: 'webhook',
    authorization: { credentials_file: `${folder}/metrics-token` },
    static_configs: [{ targets: services.map(({ url }) => new URL(url).host) }],
  }
  const prometheus = await startPrometheus({ folder, scrapeConfigs: [job], ruleFiles: [RULES] })
  t.teardown(() => prometheus.stop())
  return prometheus
}

t.test('every expression of the dashboard and of the alerts returns data', { skip }, async (t) => {
  const settings = { ...ALL_SOURCES, METRICS_TOKEN }
  const services = [await startService(t, settings)]
  if (SERVER) {
    services.push(await startService(t, { ...settings, DATABASE_URL: await createDatabase(t) }))
  } else t.comment(`without the expressions of postgres_*: ${NO_SERVER}`)
  for (const service of services) {
    startTraffic(t, service)
    await openStream(t, `${service.url}/feed`, { accept: 'text/event-stream' })
  }
  const prometheus = await startScraping(t, services)
  const alertExpressions = groups.flatMap(({ rules }) => rules.map(({ expr }) => expr))
  for (const expression of new Set([...dashboardExpressions, ...alertExpressions])) {
    const names = metricsOf(expression)
    if (!SERVER && names.some((name) => name.startsWith('postgres_'))) continue
    const original = withVariables(expression)
    const query = withoutFilters(original)
    await until(`data for ${query}`, async () =>
      (await prometheus.query(query)).some((value) => Number.isFinite(value)),
    )
    await prometheus.query(original)
    t.pass(expression)
  }
  t.strictSame(await prometheus.failedRules(), [], 'no rule fails')
})

t.test('a service without METRICS_TOKEN ignores the token of a scrape', { skip }, async (t) => {
  const prometheus = await startScraping(t, [await startService(t)])
  await until('the service is scraped', async () => (await prometheus.query('up'))[0] === 1)
})
