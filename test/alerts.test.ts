import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { parse } from 'yaml'
import { freePort } from '../tools/free-port.ts'
import { Load } from './load.ts'
import { folderOf, startService } from './service.ts'

interface Rule {
  alert?: string
  record?: string
  expr: string
  labels?: { severity: string }
  annotations?: Record<string, string>
}

const ROOT = new URL('../', import.meta.url)
const FILE = new URL('deploy/prometheus/alerts.yaml', ROOT).pathname
const TESTS = new URL('deploy/prometheus/alerts.test.yaml', ROOT)
const { groups }: { groups: { rules: Rule[] }[] } = parse(readFileSync(FILE, 'utf8'))
const rules = groups.flatMap((group) => group.rules)
const alerts = rules.filter(({ alert }) => alert !== undefined)

const { error: noPrometheus } = spawnSync('prometheus', ['--version'])
const skip = noPrometheus !== undefined && 'prometheus is not installed'

t.test('promtool accepts the rules, and each alert fires and does not', { skip }, async (t) => {
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', TESTS.pathname])
  t.equal(status, 0, `${stdout}${stderr}`)
  const tests = readFileSync(TESTS, 'utf8')
  for (const { alert } of alerts) {
    const expected = tests.split(`alertname="${alert}"`).slice(1)
    const counts = expected.map((text) => /value: (\d)/.exec(text)?.[1])
    t.strictSame(counts, ['1', '0'], `${alert} has a test of both`)
  }
})

t.test('every alert has a severity, a text and a section of the manual', async (t) => {
  const manual = readFileSync(new URL('docs/operations.md', ROOT), 'utf8')
  for (const { alert = '', labels, annotations } of alerts) {
    t.match(labels?.severity, /^(critical|warning|info)$/, alert)
    t.ok(annotations?.summary && annotations.description)
    t.equal(annotations?.runbook_url?.split('#')[1], alert.toLowerCase())
    t.ok(manual.includes(`\n### ${alert}\n`), `${alert} is in docs/operations.md`)
  }
})

/** Returns the selectors of an expression, without ranges and offsets. */
const selectorsOf = (expr: string) => expr.match(/[a-z_:0-9]+\{[^}]*\}/g) ?? []

t.test('a real Prometheus finds data for every selector of the rules', { skip }, async (t) => {
  const { url } = await startService(t)
  const folder = folderOf(t)
  const port = await freePort()
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [FILE],
    scrape_configs: [{ job_name: 'webhook', static_configs: [{ targets: [new URL(url).host] }] }],
  }
  writeFileSync(`${folder}/prometheus.yml`, JSON.stringify(config))
  const prometheus = spawn(
    'prometheus',
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  )
  const ended = new Promise<void>((resolve) => prometheus.once('exit', () => resolve()))
  t.teardown(() => {
    prometheus.kill()
    return ended
  })
  /** Returns the number of series of a query; 0 while Prometheus starts. */
  const count = async (query: string) => {
    const address = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`
    const response = await fetch(address).catch(() => undefined)
    if (!response?.ok) return 0
    const { data }: { data: { result: unknown[] } } = JSON.parse(await response.text())
    return data.result.length
  }
  const load = new Load({ url: () => url, connections: 1 })
  await load.untilAcknowledged(1)
  await load.stop()
  for (const selector of new Set(rules.flatMap(({ expr }) => selectorsOf(expr)))) {
    // SQLite has no pools.
    if (selector.startsWith('postgres_')) continue
    while ((await count(selector)) === 0) await delay(200)
    t.pass(selector)
  }
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/rules`)
  const { data } = JSON.parse(await response.text())
  const health = data.groups.flatMap((group: { rules: { health: string; name: string }[] }) =>
    group.rules.filter((rule) => rule.health === 'err').map(({ name }) => name),
  )
  t.strictSame(health, [], 'no rule fails')
})
