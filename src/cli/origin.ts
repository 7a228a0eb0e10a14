import { isIPv6 } from 'node:net'
import type { Config } from '../config.ts'

/** Returns the origin of the service for a client on this machine. */
export function originOf(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://localhost:${port}`
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Returns the origin that the configured service listens on. @throws Error if it may have any port. */
export function configuredOrigin({ host, port }: Config): string {
  if (port === 0) throw new Error('--url: required, because PORT is 0')
  return originOf(host, port)
}

/** Returns the origin of the option `--url`. @throws Error if it is not an origin. */
export function parseOrigin(text: string): string {
  const origin = /^https?:/i.test(text) && URL.canParse(text) ? new URL(text).origin : undefined
  if (origin === undefined || `${origin}/` !== new URL(text).href) {
    const expected = 'an origin such as http://localhost:8000'
    throw new Error(`--url: expected ${expected}, found ${JSON.stringify(text)}`)
  }
  return origin
}
