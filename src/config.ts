import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parseEnv } from 'node:util'
import {
  ConfigError,
  type Environment,
  isSet,
  read,
  readList,
  refuse,
  type SettingName,
} from './settings.ts'

export { ConfigError }

/** Address of the database. */
export type DatabaseAddress =
  | {
      kind: 'sqlite'
      /** Undefined for a private temporary file. */
      path: string | undefined
    }
  | {
      kind: 'postgres'
      /** Holds the password: not to be shown. */
      url: string
    }

/** The levels of LOG_LEVEL. */
export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR'

/** What the service runs with; frozen. */
export interface Config {
  /** Undefined when it is missing or blank: then every post is refused. */
  readonly secret: string | undefined
  /** Undefined when it is missing or blank. */
  readonly previousSecret: string | undefined
  /** Empty where everybody may read messages and statistics. */
  readonly apiTokens: readonly string[]
  /** Empty where everybody may read the metrics. */
  readonly metricsTokens: readonly string[]
  /** Empty where no page of another origin may read. */
  readonly corsOrigins: readonly string[]
  /** Whether every proxy is believed, how many are, counted from here, or which, by address. */
  readonly trustProxy: boolean | number | readonly string[]
  /** Wrong signatures and tokens of an address in a minute, 0 for any number. */
  readonly maxFailuresPerMinute: number
  /** Requests of an address in a minute, 0 for any number. */
  readonly maxRequestsPerMinute: number
  /** Where the messages are. */
  readonly database: DatabaseAddress
  readonly logLevel: LogLevel
  readonly host: string
  /** 0 to 65535; 0 takes any free port. */
  readonly port: number
  /** Messages that share a commit at most, 1 to 99999. */
  readonly maxBatch: number
  /** Posts that may be open at once, 1 to 99999. */
  readonly maxWaiting: number
  /** Milliseconds that a read may take, 1 or more. */
  readonly readTimeoutMs: number
  /** Milliseconds between SIGTERM and the listener's end. */
  readonly shutdownDelayMs: number
}

/** What `serve --dev` assumes where neither the environment nor `.env` says otherwise. */
const DEVELOPMENT: Environment = {
  WEBHOOK_SECRET: 'testsecret',
  DATABASE_URL: 'sqlite:///data/app.db',
}

function isOrigin(text: string): boolean {
  return /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
}

function readOrigins(environment: Environment): string[] {
  const origins = readList('CORS_ORIGINS', environment)
  const wrong = origins.find((origin) => !isOrigin(origin))
  if (wrong !== undefined) throw refuse('CORS_ORIGINS', wrong)
  return origins
}

/** An address, or a range of them in the notation of RFC 4632. */
function isAddressRange(text: string): boolean {
  const [, address = '', prefix] = /^([0-9a-fA-F.:]+)(?:\/([1-9][0-9]{0,2}))?$/.exec(text) ?? []
  const bits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0
  return bits > 0 && Number(prefix ?? bits) <= bits
}

function readTrustProxy(environment: Environment): Config['trustProxy'] {
  const value = read('TRUST_PROXY', environment).trim()
  if (/^(true|false)$/i.test(value)) return value.toLowerCase() === 'true'
  if (/^[1-9][0-9]?$/.test(value)) return Number(value)
  const ranges = readList('TRUST_PROXY', environment)
  if (ranges.length === 0 || !ranges.every(isAddressRange)) throw refuse('TRUST_PROXY', value)
  return ranges
}

/** The path of a sqlite URL, in which `?`, `#` and `%` must be percent-encoded. @throws ConfigError */
function readPath(encoded: string): string {
  if (/[?#]/.test(encoded)) {
    throw new ConfigError(
      'DATABASE_URL: expected a sqlite URL without parameters; in a file name ? is %3F and # is %23',
    )
  }
  try {
    return decodeURIComponent(encoded)
  } catch {
    throw new ConfigError('DATABASE_URL: expected percent-encoded UTF-8; in a file name % is %25')
  }
}

function readDatabase(url: string): DatabaseAddress {
  if (!url.toLowerCase().startsWith('sqlite:')) return { kind: 'postgres', url }
  const file = readPath(url.slice('sqlite:///'.length))
  if (file.includes('\0')) throw new ConfigError('DATABASE_URL: expected a path without NUL')
  return { kind: 'sqlite', path: file === ':memory:' ? undefined : file }
}

/** Reads every value before it reports the errors, all of them together. @throws ConfigError */
function readAll<Values>(readers: { [Name in keyof Values]: () => Values[Name] }): Values {
  const values: Partial<Values> = {}
  const problems = new Set<string>()
  for (const name in readers) {
    try {
      values[name] = readers[name]()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      for (const problem of error.problems) problems.add(problem)
    }
  }
  if (problems.size > 0) throw new ConfigError([...problems])
  return values as Values
}

function readSecret(environment: Environment): string | undefined {
  const secret = read('WEBHOOK_SECRET', environment)
  return isSet(secret) ? secret : undefined
}

function readPreviousSecret(environment: Environment): string | undefined {
  const secret = read('WEBHOOK_SECRET_PREVIOUS', environment)
  if (!isSet(secret)) return undefined
  if (readSecret(environment) === undefined) {
    throw new ConfigError('WEBHOOK_SECRET_PREVIOUS: expected WEBHOOK_SECRET beside it')
  }
  return secret
}

/** Understands an environment. @throws ConfigError for every setting that has a bad value. */
export function parseConfig(environment: Environment): Config {
  const number = (name: SettingName) => () => Number(read(name, environment))
  const list = (name: SettingName) => () => readList(name, environment)
  const config = readAll<Config>({
    secret: () => readSecret(environment),
    previousSecret: () => readPreviousSecret(environment),
    apiTokens: list('API_TOKEN'),
    metricsTokens: list('METRICS_TOKEN'),
    corsOrigins: () => readOrigins(environment),
    trustProxy: () => readTrustProxy(environment),
    maxFailuresPerMinute: number('MAX_FAILURES_PER_MINUTE'),
    maxRequestsPerMinute: number('MAX_REQUESTS_PER_MINUTE'),
    database: () => readDatabase(read('DATABASE_URL', environment)),
    logLevel: () => read('LOG_LEVEL', environment).toUpperCase() as LogLevel,
    host: () => read('HOST', environment),
    port: number('PORT'),
    maxBatch: number('MAX_BATCH'),
    maxWaiting: number('MAX_WAITING'),
    readTimeoutMs: number('READ_TIMEOUT_MS'),
    shutdownDelayMs: number('SHUTDOWN_DELAY_MS'),
  })
  return Object.freeze(config)
}

/** Where the value of a setting comes from. */
export type SettingSource = 'the environment' | '.env' | 'the development default' | 'the default'

interface LoadOptions {
  development: boolean
}

/** The environments that settings are read from, the first that has one goes before the others. */
function environments({ development }: LoadOptions): [SettingSource, Environment][] {
  return [
    ['the environment', process.env],
    ['.env', readDotEnv()],
    ['the development default', development ? DEVELOPMENT : {}],
  ]
}

/**
 * The configuration of this process: its environment, then a `.env` file in the working directory, then, for
 * development only, a secret and a file that need no set-up. @throws ConfigError
 */
export function loadConfig(options: LoadOptions): Config {
  const layers = environments(options).map(([, environment]) => environment)
  return parseConfig(layers.reduceRight((below, above) => mergeEnv(above, below)))
}

/** Tells where `loadConfig` takes a setting from. @throws ConfigError */
export function sourceOf(name: SettingName, options: LoadOptions): SettingSource {
  const [source] =
    environments(options).find(
      ([, environment]) => environment[name] !== undefined || isSet(environment[`${name}_FILE`]),
    ) ?? []
  return source ?? 'the default'
}

/** One environment over another: what it sets itself, or by a file, hides both ways of setting it below. */
function mergeEnv(above: Environment, below: Environment): Environment {
  const settings = Object.entries(below).filter(([name]) => {
    const other = name.endsWith('_FILE') ? name.slice(0, -'_FILE'.length) : `${name}_FILE`
    return !isSet(above[other])
  })
  return { ...Object.fromEntries(settings), ...above }
}

function readDotEnv(): Environment {
  try {
    // A TextDecoder drops the byte order mark, which would become part of the first name.
    return parseEnv(new TextDecoder().decode(readFileSync('.env')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new ConfigError(`.env: ${error instanceof Error ? error.message : error}`)
  }
}
