import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { post, startApp, wire } from '../service.ts'
import { dashboard, dashboardExpressions, metricsOf, type Panel } from './dashboard.ts'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

/** The variable `datasource`; not a template literal. */
const DATASOURCE = { type: 'prometheus', uid: `\${datasource}` }

/** Units of the dashboard, by their ids in Grafana. */
const UNITS = ['none', 'short', 's', 'bytes', 'reqps', 'percentunit', 'dateTimeFromNow']

/** Metrics that Prometheus itself generates. */
const GENERATED = ['up', 'ALERTS']

const charts = dashboard.panels.filter(({ type }) => type !== 'row')

t.test(
  'the dashboard has a fixed uid, and variables for the data source and instances',
  async (t) => {
    t.match(dashboard, { uid: 'lyftr-webhook', schemaVersion: 41 })
    t.match(dashboard.templating.list, [
      { name: 'datasource', type: 'datasource', query: 'prometheus' },
      { name: 'instance', type: 'query', multi: true, includeAll: true },
    ])
    for (const { datasource } of dashboard.annotations.list) t.strictSame(datasource, DATASOURCE)
  },
)

t.test('every panel has a title, a description, a unit and queries', async (t) => {
  const ids = dashboard.panels.map(({ id }) => id)
  t.equal(new Set(ids).size, ids.length, 'ids are unique')
  for (const { title, description, datasource, targets = [], fieldConfig } of charts) {
    t.ok(title)
    t.match(description, /^.{30,}\.$/, `${title}: says what to look for`)
    t.strictSame(datasource, DATASOURCE, title)
    t.ok(UNITS.includes(fieldConfig?.defaults.unit ?? ''), `${title}: unit`)
    t.ok(targets.length > 0, `${title}: queries`)
    const refIds = targets.map(({ refId }) => refId)
    t.equal(new Set(refIds).size, refIds.length, `${title}: refIds are unique`)
    for (const target of targets) {
      t.match(target.refId, /^[A-Z]$/)
      t.strictSame(target.datasource, DATASOURCE, title)
      t.ok(target.legendFormat, `${title}: legend`)
    }
  }
})

t.test('panels fill the rows without overlaps', async (t) => {
  const cells = new Map<string, Panel>()
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos
    t.ok(x >= 0 && w > 0 && h > 0 && x + w <= 24, `${panel.title}: within 24 columns`)
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const other = cells.get(`${column},${line}`)
        if (other) t.fail(`${panel.title} overlaps ${other.title}`)
        cells.set(`${column},${line}`, panel)
      }
    }
  }
  const height = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h))
  t.equal(cells.size, 24 * height, 'no gaps')
})

t.test('the service exports every metric of the dashboard', async (t) => {
  const { app } = await startApp(t)
  await post(app, wire({ message_id: 'm' }))
  const { body } = await app.inject('/metrics')
  const exported = (name: string) => {
    const base = name.replace(/_(bucket|sum|count)$/, '')
    return body.includes(`# TYPE ${name} `) || body.includes(`# TYPE ${base} histogram`)
  }
  const names = new Set(dashboardExpressions.flatMap(metricsOf))
  for (const name of names) {
    if (!GENERATED.includes(name)) t.ok(exported(name), name)
  }
})

t.test('every selector but that of alerts has the job and the instance variable', async (t) => {
  for (const expression of dashboardExpressions) {
    for (const [selector, name] of expression.matchAll(/(\w+)\{[^}]*\}/g)) {
      if (name !== 'ALERTS') t.match(selector, '{job="webhook", instance=~"$instance"', expression)
    }
  }
})

t.test('Grafana provisions the dashboard and its data source from the mounted files', async (t) => {
  const { volumes }: { volumes: string[] } = parse(read('compose.yaml'), { merge: true }).services
    .grafana
  const mounted = new Map(volumes.map((volume) => volume.split(':') as [string, string]))
  t.equal(mounted.get('./deploy/grafana/provisioning'), '/etc/grafana/provisioning')
  const file = mounted.get('./deploy/grafana/webhook.json')
  const { providers } = parse(read('deploy/grafana/provisioning/dashboards/webhook.yaml'))
  t.equal(file, `${providers[0].options.path}/webhook.json`)
  const { datasources } = parse(read('deploy/grafana/provisioning/datasources/prometheus.yaml'))
  t.match(datasources, [{ type: 'prometheus', url: 'http://prometheus:9090', isDefault: true }])
  for (const profile of ['observe', 'scale']) {
    const { global } = parse(read(`deploy/prometheus/${profile}.yaml`))
    t.equal(datasources[0].jsonData.timeInterval, global.scrape_interval, profile)
  }
})
