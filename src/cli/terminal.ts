import type { Config, SettingSource } from '../config.ts'
import { describeDatabase } from '../db/describe.ts'
import type { LogOutput } from '../log-output.ts'
import { DEFAULT_DETAILS } from '../message/message.ts'
import type { SignedPost } from '../sources/source.ts'
import { originOf } from './origin.ts'
import { SAMPLE, signSample } from './sample.ts'

/** Secret of the development defaults; it is public, and no other secret is printed. */
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

/** Returns a shell command that sends a signed post and prints the response and a newline. */
function curlLine(origin: string, { path, headers, body }: SignedPost): string {
  const options = Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`)
  return `curl -w '\\n' ${origin}${path} ${options.join(' ')} -d '${body}'`
}

/** Returns the start-up text: source of the secret, database, documentation and a curl command. */
export function welcome(config: Config, port: number, secretSource: SettingSource): string {
  const { database, host } = config
  const { secret } = config.sources.webhook
  const origin = originOf(host, port)
  const shown =
    secret === PUBLIC_SECRET ? `${secret}, from ${secretSource}` : `from ${secretSource}`
  const sentAt = new Date('2025-01-15T10:00:00Z')
  const sign = () =>
    signSample(config, DEFAULT_DETAILS.source, { ...SAMPLE, id: 'hello-1', sentAt })
  const post = secret && `\n  Post a message:\n\n${curlLine(origin, sign())}\n`
  return `
  secret         ${secret ? shown : 'none: posts get 503'}
  database       ${describeDatabase(database)}
  documentation  ${origin}/docs
${post ?? ''}
`
}
