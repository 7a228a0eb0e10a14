import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

const CONFIGURATION = new URL('../deploy/haproxy.cfg', import.meta.url).pathname

/** A running haproxy with the configuration that compose.yaml uses. */
export interface Balancer {
  url: string
  /** Returns how many instances pass its health checks. */
  up(): Promise<number>
  /** Stops it and resolves when the process has ended. */
  stop(): Promise<void>
}

/**
 * Starts haproxy in front of three instances on ports of 127.0.0.1.
 * Resolves once all of them pass its health checks.
 * @param folder where its log is written.
 */
export async function startBalancer(ports: readonly number[], folder: string): Promise<Balancer> {
  const [port, metricsPort] = [await freePort(), await freePort()]
  const log = openSync(join(folder, 'haproxy.log'), 'a')
  const addresses = ports.map((port, index) => [`WEBHOOK_${index + 1}`, `127.0.0.1:${port}`])
  const child = spawn('haproxy', ['-db', '-f', CONFIGURATION], {
    env: {
      PATH: `${process.env.PATH}:/usr/sbin`,
      LISTEN: `127.0.0.1:${port}`,
      LISTEN_METRICS: `127.0.0.1:${metricsPort}`,
      ...Object.fromEntries(addresses),
    },
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  const ended = once(child, 'exit')
  const killAtExit = () => child.kill('SIGKILL')
  process.once('exit', killAtExit)
  const up = async (): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`)
    const servers = /^haproxy_server_status{proxy="instances",server="[^"]*",state="UP"} 1$/gm
    return [...(await response.text()).matchAll(servers)].length
  }
  await until('the load balancer reports every instance as up', async () => {
    if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`)
    return (await up().catch(() => 0)) === ports.length
  })
  return {
    url: `http://127.0.0.1:${port}`,
    up,
    async stop() {
      child.kill('SIGTERM')
      await ended
      process.off('exit', killAtExit)
    },
  }
}
