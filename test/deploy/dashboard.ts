import { readFileSync } from 'node:fs'

/** A query of a panel. */
export interface Target {
  refId: string
  datasource: { type: string; uid: string }
  expr: string
  legendFormat: string
}

/** A panel, or the title of a row of panels. */
export interface Panel {
  id: number
  type: string
  title: string
  description?: string
  datasource?: Target['datasource']
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: Target[]
  fieldConfig?: { defaults: { unit?: string } }
}

/** The parts of a Grafana dashboard that the tests read. */
interface Dashboard {
  uid: string
  schemaVersion: number
  annotations: { list: { datasource: Target['datasource']; expr: string }[] }
  templating: { list: { name: string; type: string; allValue?: string; query: unknown }[] }
  panels: Panel[]
}

/** The dashboard that deploy/ provisions in Grafana. */
export const dashboard: Dashboard = JSON.parse(
  readFileSync(new URL('../../deploy/grafana/webhook.json', import.meta.url), 'utf8'),
)

/** All expressions of the dashboard, as they are written there. */
export const dashboardExpressions = [
  ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...dashboard.annotations.list.map(({ expr }) => expr),
]

/** Returns the metrics that the selectors of an expression name. */
export function metricsOf(expression: string): string[] {
  return [...expression.matchAll(/([a-zA-Z_:][\w:]*)\{/g)].map(([, name = '']) => name)
}
