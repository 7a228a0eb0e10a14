import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'

interface Rule {
  alert?: string
  record?: string
  expr: string
  labels?: { severity: string }
  annotations?: Record<string, string>
}

const ROOT = new URL('../../', import.meta.url)
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
