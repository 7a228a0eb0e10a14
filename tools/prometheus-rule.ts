import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const RULES = new URL('../deploy/prometheus/alerts.yaml', import.meta.url)
const MANIFEST = new URL('../deploy/kubernetes/monitoring/prometheus-rule.yaml', import.meta.url)

const HEAD = `# Generated from deploy/prometheus/alerts.yaml by npm run deploy:rules.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: webhook
  labels:
    app.kubernetes.io/name: lyftr-webhook-api
spec:
`

/** Returns the manifest of a PrometheusRule with the rules of a Prometheus rule file. */
export function prometheusRule(rules: string): string {
  const groups = rules.slice(rules.search(/^groups:/m))
  return HEAD + groups.replace(/^(?=.)/gm, '  ')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(MANIFEST, prometheusRule(readFileSync(RULES, 'utf8')))
}
