import { createHmac } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { Config, SettingSource } from '../config.ts'
import { describeDatabase } from '../db/describe.ts'
import type { LogOutput } from '../log-output.ts'

/** The secret that everybody may see, as the README has it. */
const PUBLIC_SECRET = 'testsecret'

/** The fields of a request's log line that its text has already. */
const REQUEST_FIELDS = 'method,path,status,latency_ms'

function messageOf(line: Record<string, unknown>): string {
  const { msg, method, path, status, latency_ms } = line
  return msg === undefined ? `${method} ${path} ${status} ${latency_ms} ms` : String(msg)
}

/** A log for people to read, on standard output; undefined where pino-pretty is not installed. */
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
    ignore: REQUEST_FIELDS,
    messageFormat: messageOf,
    singleLine: true,
  })
  return {
    write: (line) => process.stdout.write(format(line)),
    flush: (done) => process.stdout.write('', () => done?.()),
  }
}

/** The address for a client on this machine. */
function originOf(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://localhost:${port}`
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** A command that posts a message, signed, for a shell to paste into; it ends the answer's line. */
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

/** What a developer needs to begin: where the secret comes from, the database, the documentation, a first post. */
export function welcome(config: Config, port: number, secretSource: SettingSource): string {
  const { secret, database, host } = config
  const origin = originOf(host, port)
  const shown =
    secret === PUBLIC_SECRET ? `${secret}, from ${secretSource}` : `from ${secretSource}`
  const post = secret && `\n  Post a message:\n\n${curlLine(origin, secret)}\n`
  return `
  secret         ${secret ? shown : 'none: every post is answered 503'}
  database       ${describeDatabase(database)}
  documentation  ${origin}/docs
${post ?? ''}
`
}
