import { readFileSync } from 'node:fs'
import { type Static, Type } from '@sinclair/typebox'

/** What is read from the environment, or from a file, before it is understood: names and texts. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Settings that the service cannot start with; each problem is one line that names one and what it takes. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: string | readonly string[], options?: ErrorOptions) {
    const all = [problems].flat()
    super(all.join('\n'), options)
    this.problems = all
  }
}

const setting = (fallback: string, pattern: string, expected: string, description: string) =>
  Type.String({ default: fallback, pattern, expected, description })

/** The same for what must not be shown: it may come in a file instead, which the setting `…_FILE` names. */
const secret = (fallback: string, pattern: string, expected: string, description: string) =>
  Type.String({ default: fallback, pattern, expected, description, secret: true })

/** Several tokens as they may stand behind `Bearer`; no more than visible ASCII survives every client and proxy. */
const TOKENS = '^ *([!-+\\--~]+( *, *[!-+\\--~]+)*)? *$'
const TOKENS_EXPECTED = 'tokens of visible ASCII characters, separated by commas'

/** Every setting: its default, what it takes, and what it does. */
const Settings = Type.Object({
  WEBHOOK_SECRET: secret(
    '',
    '',
    'any text',
    'The secret of the HMAC-SHA256 signatures. Without one the service is not ready and takes no message.',
  ),
  WEBHOOK_SECRET_PREVIOUS: secret(
    '',
    '',
    'any text',
    'The secret before this one, whose signatures pass as well until every sender has the new one.',
  ),
  API_TOKEN: secret(
    '',
    TOKENS,
    TOKENS_EXPECTED,
    'Whoever reads messages and statistics must bear one of these. Without any, everybody may read.',
  ),
  METRICS_TOKEN: secret('', TOKENS, TOKENS_EXPECTED, 'The same for the metrics.'),
  CORS_ORIGINS: setting(
    '',
    '',
    'origins such as https://dashboard.example.org, separated by commas',
    'Whose pages may read messages and statistics in a browser.',
  ),
  TRUST_PROXY: setting(
    'false',
    '',
    'true, false, a number of proxies from 1 to 99, or addresses and ranges such as 10.0.0.0/8, separated by commas',
    'Which proxies are believed in X-Forwarded-For: it decides whose address limits count.',
  ),
  MAX_FAILURES_PER_MINUTE: setting(
    '300',
    '^[0-9]{1,6}$',
    'a number from 0 to 999999; 0 for no limit',
    'How many wrong signatures and tokens a client address may send in a minute before they get 429.',
  ),
  MAX_REQUESTS_PER_MINUTE: setting(
    '0',
    '^[0-9]{1,6}$',
    'a number from 0 to 999999; 0 for no limit',
    'How many requests, right or wrong, a client address may send in a minute before they get 429.',
  ),
  DATABASE_URL: secret(
    'sqlite:////data/app.db',
    '^(sqlite:///\\S(.*\\S)?|postgres(ql)?://\\S+)$',
    'sqlite:///relative/path.db, sqlite:////absolute/path.db, sqlite:///:memory: or postgres://user:password@host/database',
    'Where the messages are: a file, whose missing folders are created, or a PostgreSQL database.',
  ),
  LOG_LEVEL: setting(
    'INFO',
    '^(debug|info|warning|error)$',
    'DEBUG, INFO, WARNING or ERROR',
    'The least important lines to log.',
  ),
  HOST: setting('0.0.0.0', '^\\S+$', 'an address or a host name', 'The address to listen on.'),
  PORT: setting(
    '8000',
    '^([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$',
    'a number from 0 to 65535; 0 takes any free port',
    'The port to listen on.',
  ),
  MAX_BATCH: setting(
    '1000',
    '^[1-9][0-9]{0,4}$',
    'a number from 1 to 99999',
    'How many messages share a commit at most; 1 commits each by itself.',
  ),
  MAX_WAITING: setting(
    '1000',
    '^[1-9][0-9]{0,4}$',
    'a number from 1 to 99999',
    'Maximum messages being stored, and unverified posts; reads and public requests get a tenth each. Excess gets 503.',
  ),
  READ_TIMEOUT_MS: setting(
    '5000',
    '^[1-9][0-9]{0,5}$',
    'milliseconds, 1 to 999999',
    'How long a question may take before it is cut off with 503.',
  ),
  SHUTDOWN_DELAY_MS: setting(
    '0',
    '^[0-9]{1,6}$',
    'milliseconds, 0 to 999999',
    'How long to go on serving after SIGTERM while readiness says 503, for load balancers to notice.',
  ),
})

/** The name of a setting. */
export type SettingName = keyof Static<typeof Settings>

/** Every setting by name: its default, its description, and whether a file may hold it (`…_FILE`). */
export const SETTINGS = Object.entries(Settings.properties).map(
  ([name, { default: fallback, description, secret }]) => ({
    name,
    default: String(fallback),
    description: String(description),
    hasFile: secret === true,
  }),
)

/** The error of a value that a setting does not take. A secret is not repeated, but for what a URL begins with. */
export function refuse(name: SettingName, value: string): ConfigError {
  const { expected, secret } = Settings.properties[name]
  const shown = name === 'DATABASE_URL' ? value.replace(/^([^:]*:\/*).*$/s, '$1…') : value
  const found = secret && shown === value ? '' : `, found ${JSON.stringify(shown)}`
  return new ConfigError(`${name}: expected ${expected}${found}`)
}

/** Whether a value is there and not blank. */
export function isSet(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== ''
}

/** What a file of a secret holds, without the newline at its end. @throws ConfigError */
function readSecretFile(name: string, path: string): string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path))
  } catch (error) {
    throw new ConfigError(`${name}: ${error instanceof Error ? error.message : error}`)
  }
  const value = text.replace(/\r?\n$/, '')
  if (!isSet(value)) throw new ConfigError(`${name}: nothing is in the file ${path}`)
  return value
}

/** The value of a setting, or of the file that it is in. @throws ConfigError */
function givenValue(name: SettingName, environment: Environment): string | undefined {
  const value = environment[name]
  const path = Settings.properties[name].secret ? environment[`${name}_FILE`] : undefined
  if (!isSet(path)) return value
  if (isSet(value)) throw new ConfigError(`${name}: expected it or ${name}_FILE, found both`)
  return readSecretFile(`${name}_FILE`, path)
}

/** The value as a setting takes it. @throws ConfigError naming the setting and what it takes. */
export function read(name: SettingName, environment: Environment): string {
  const { default: fallback, pattern } = Settings.properties[name]
  const value = givenValue(name, environment) ?? String(fallback)
  if (new RegExp(pattern ?? '', 'i').test(value)) return value
  throw refuse(name, value)
}

/** The parts of a list with commas; none of nothing. */
export function readList(name: SettingName, environment: Environment): string[] {
  const value = read(name, environment).trim()
  return value === '' ? [] : value.split(',').map((part) => part.trim())
}
