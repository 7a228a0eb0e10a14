import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

/** Seconds between scrapes, and between evaluations of the rules. */
export const SCRAPE_INTERVAL_S = 1

/** Configuration of a Prometheus. */
export interface PrometheusOptions {
  /** Folder of its configuration, data and log. */
  folder: string
  /** Scrape configurations, without the global interval. */
  scrapeConfigs: unknown[]
  /** Paths of rule files. */
  ruleFiles?: string[]
}

/** A running Prometheus. */
export interface Prometheus {
  /**
   * Evaluates an expression.
   * @returns the value of each series now.
   * @throws Error if the expression is invalid or cannot be evaluated.
   */
  query(expression: string): Promise<number[]>
  /** Returns the names of the rules whose last evaluation failed. */
  failedRules(): Promise<string[]>
  /** Stops it and resolves when the process has ended. */
  stop(): Promise<void>
}

/** Calls the HTTP API. @returns the `data` of the response. */
async function call(address: string) {
  const response = await fetch(address)
  const { status, error, data } = JSON.parse(await response.text())
  if (status !== 'success') throw new Error(`${decodeURIComponent(address)}: ${error}`)
  return data
}

/** Starts Prometheus on a free port of 127.0.0.1. Resolves once it answers queries. */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { folder, scrapeConfigs, ruleFiles = [] } = options
  const port = await freePort()
  const interval = `${SCRAPE_INTERVAL_S}s`
  const config = {
    global: { scrape_interval: interval, evaluation_interval: interval },
    rule_files: ruleFiles,
    scrape_configs: scrapeConfigs,
  }
  const file = join(folder, 'prometheus.yml')
  writeFileSync(file, JSON.stringify(config))
  const log = openSync(join(folder, 'prometheus.log'), 'a')
  const child = spawn(
    'prometheus',
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'prometheus-data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', log, log] },
  )
  closeSync(log)
  const ended = once(child, 'exit')
  const killAtExit = () => child.kill('SIGKILL')
  process.once('exit', killAtExit)
  const url = `http://127.0.0.1:${port}`
  await until('Prometheus is ready', async () => {
    if (child.exitCode !== null) throw new Error(`prometheus ended with ${child.exitCode}`)
    const response = await fetch(`${url}/-/ready`).catch(() => undefined)
    await response?.arrayBuffer()
    return response?.ok === true
  })
  return {
    async query(expression) {
      const { result } = await call(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`)
      return result.map(({ value }: { value: [number, string] }) => Number(value[1]))
    },
    async failedRules() {
      const { groups }: { groups: { rules: { health: string; name: string }[] }[] } = await call(
        `${url}/api/v1/rules`,
      )
      const rules = groups.flatMap((group) => group.rules)
      return rules.filter(({ health }) => health === 'err').map(({ name }) => name)
    },
    async stop() {
      child.kill('SIGTERM')
      await ended
      process.off('exit', killAtExit)
    },
  }
}
