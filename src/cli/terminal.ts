import { createHmac } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { Config, SettingSource } from '../config.ts'
import { describeDatabase } from '../db/describe.ts'
import type { LogOutput } from '../log-output.ts'

/** Secret of the development defaults, which the README publishes; the only one that is printed. */
const PUBLIC_SECRET = 'testsecret'

/** Fields of a request's log line that the message contains. */
const FIELDS_IN_MESSAGE = 'method,path,status,latency_ms'

function messageOf(line: Record<string, unknown>): string {
  const { msg, method, path, status, latency_ms } = line
  return msg === undefined ? `${method} ${path} ${status} ${latency_ms} ms` : String(msg)
}

/** Returns a readable log on standard output; undefined if pino-pretty is not installed. */
export async function prettyOutput(): Promise<LogOutput | undefined> {
  const pretty = await import('pino-pretty').catch(() => undefined)
  if (!pretty) return undefined
  const format = pretty.prettyFactory({
    colorize: process.stdout.hasColors?.() ?? false,
    timestampKey: 'ts',
    translateTime: 'SYS:HH:MM:ss.l',
    customLevels: 'debug:20,info:30,warning:40,error:50',
    customColors: 'debug:blue,info:green,warning:yellow,error:red',
    useOnlyCustomProps: true,
    ignore: FIELDS_IN_MESSAGE,
    messageFormat: messageOf,
    singleLine: true,
  })
  return {
    write: (line) => process.stdout.write(format(line)),
    flush: (done) => process.stdout.write('', () => done?.()),
  }
}

/** Returns the origin of the service for a client on this machine. */
function originOf(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://localhost:${port}`
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Returns a shell command that posts a signed message and prints the response and a newline. */
function curlLine(origin: string, secret: string): string {
  const body = JSON.stringify({
    message_id: 'hello-1',
    from: '+919876543210',
    to: '+14155550100',
    ts: '2025-01-15T10:00:00Z',
    text: 'Hello',
  })
  const signature = createHmac('sha256', secret).update(body).digest('hex')
  return `curl -w '\\n' ${origin}/webhook -H 'Content-Type: application/json' -H 'X-Signature: ${signature}' -d '${body}'`
}

/** Returns the start-up text: source of the secret, database, documentation, a command that posts. */
export function welcome(config: Config, port: number, secretSource: SettingSource): string {
  const { secret, database, host } = config
  const origin = originOf(host, port)
  const shown =
    secret === PUBLIC_SECRET ? `${secret}, from ${secretSource}` : `from ${secretSource}`
  const post = secret && `\n  Post a message:\n\n${curlLine(origin, secret)}\n`
  return `
  secret         ${secret ? shown : 'none: posts get 503'}
  database       ${describeDatabase(database)}
  documentation  ${origin}/docs
${post ?? ''}
`
}
