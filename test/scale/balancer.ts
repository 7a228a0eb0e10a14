import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { until } from './instance.ts'

const CONFIGURATION = new URL('../../deploy/haproxy.cfg', import.meta.url).pathname

/** The load balancer with the very configuration that compose.yaml runs it with. */
export interface Balancer {
  url: string
  /** How many instances it holds for ready. */
  up(): Promise<number>
  stop(): Promise<void>
}

/** Starts haproxy in front of instances on three ports; resolves once it holds all of them for ready. */
export async function startBalancer(ports: readonly number[], folder: string): Promise<Balancer> {
  const [port, metricsPort] = [await freePort(), await freePort()]
  const log = openSync(join(folder, 'haproxy.log'), 'a')
  const addresses = ports.map((port, at) => [`WEBHOOK_${at + 1}`, `127.0.0.1:${port}`])
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
  await until('the load balancer holds every instance for ready', async () => {
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
