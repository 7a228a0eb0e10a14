import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { type Static, type TString, Type } from '@sinclair/typebox'

/** What is read from the environment, or from a file, before it is understood: names and texts. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A setting that the service cannot start with; the message is one line that names it and what it takes. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const setting = (
  fallback: string,
  pattern: string,
  expected: string,
  description: string,
): TString => Type.String({ default: fallback, pattern, expected, description })

/** Every setting: its default, what it takes, and what it does. */
const Settings = Type.Object({
  WEBHOOK_SECRET: setting(
    '',
    '',
    'any text',
    'The secret of the HMAC-SHA256 signatures. Without one the service is not ready and takes no message.',
  ),
  DATABASE_URL: setting(
    'sqlite:////data/app.db',
    '^sqlite:///\\S(.*\\S)?$',
    'sqlite:///relative/path.db, sqlite:////absolute/path.db or sqlite:///:memory:',
    'Where the messages are; missing folders are created.',
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

/** The levels of LOG_LEVEL. */
export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR'

/** What the service runs with; frozen. */
export interface Config {
  /** Undefined when it is missing or blank: then every post is refused. */
  readonly secret: string | undefined
  /** The SQLite file; undefined for a private temporary one. */
  readonly sqlitePath: string | undefined
  readonly logLevel: LogLevel
  readonly host: string
  /** 0 to 65535; 0 takes any free port. */
  readonly port: number
  /** Messages that share a commit at most, 1 to 99999. */
  readonly maxBatch: number
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

/** The value as a setting takes it. @throws ConfigError naming the setting and what it takes. */
function read(name: keyof Static<typeof Settings>, environment: Environment): string {
  const { default: fallback, pattern, expected } = Settings.properties[name]
  const value = environment[name] ?? String(fallback)
  if (new RegExp(pattern ?? '', 'i').test(value)) return value
  // A URL may hold a password: of that, only what is not secret is repeated.
  const shown = name === 'DATABASE_URL' ? value.replace(/^([^:]*:\/*).*$/s, '$1…') : value
  throw new ConfigError(`${name}: expected ${expected}, found ${JSON.stringify(shown)}`)
}

/** Understands an environment. @throws ConfigError for the first setting that has a bad value. */
export function parseConfig(environment: Environment): Config {
  const secret = read('WEBHOOK_SECRET', environment)
  const file = read('DATABASE_URL', environment).slice('sqlite:///'.length)
  if (file.includes('\0')) throw new ConfigError('DATABASE_URL: expected a path without NUL')
  return Object.freeze({
    secret: secret.trim() === '' ? undefined : secret,
    sqlitePath: file === ':memory:' ? undefined : file,
    logLevel: read('LOG_LEVEL', environment).toUpperCase() as LogLevel,
    host: read('HOST', environment),
    port: Number(read('PORT', environment)),
    maxBatch: Number(read('MAX_BATCH', environment)),
    readTimeoutMs: Number(read('READ_TIMEOUT_MS', environment)),
    shutdownDelayMs: Number(read('SHUTDOWN_DELAY_MS', environment)),
  })
}

/**
 * The configuration of this process: its environment, then a `.env` file in the working directory, then, for
 * development only, a secret and a file that need no set-up. @throws ConfigError
 */
export function loadConfig(options: { development: boolean }): Config {
  return parseConfig({
    ...(options.development ? DEVELOPMENT : {}),
    ...readDotEnv(),
    ...process.env,
  })
}

function readDotEnv(): Environment {
  try {
    return parseEnv(readFileSync('.env', 'utf8'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new ConfigError(`.env: ${error instanceof Error ? error.message : error}`)
  }
}
