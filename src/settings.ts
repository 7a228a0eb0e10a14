import { isIP } from 'node:net'

/** Settings that the service cannot start with. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** One line per setting, which begins with its name. */
  readonly problems: readonly string[]

  constructor(problems: string | readonly string[], options?: ErrorOptions) {
    const all = [problems].flat()
    super(all.join('\n'), options)
    this.problems = all
  }
}

/** Address of the database. */
export type DatabaseAddress =
  | {
      kind: 'sqlite'
      /** Undefined for a private temporary file. */
      path: string | undefined
    }
  | {
      kind: 'postgres'
      /** Includes the password: not to be logged. */
      url: string
    }

/**
 * Throws the error of a setting.
 * @param shown the part of the value to quote; by default the whole value, or nothing of a secret.
 */
type Reject = (shown?: string) => never

/** Declaration of a setting. */
export interface Setting<Value = unknown> {
  /** Name of the variable. */
  name: string
  /** Text that is used if the variable is not set. */
  default: string
  /** Accepted values, for the error message. */
  expected: string
  /** Row of the README's table, in Markdown. */
  description: string
  /** Variable without which this one must not be set. */
  requires?: string
  /** Whether the variable `…_FILE` can name a file with the value, and error messages omit the value. */
  secret?: boolean
  /** Returns the value of a text, or calls `reject`. @throws ConfigError */
  parse: (text: string, reject: Reject) => Value
}

/** Returns whether a variable is set and not blank. */
export function isSet(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== ''
}

const integer = (min: number, max: number, { unit = 'a number from', note = '' } = {}) => ({
  expected: `${unit} ${min} to ${max}${note}`,
  parse(text: string, reject: Reject): number {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max ? value : reject()
  },
})

function parseList(text: string): readonly string[] {
  return isSet(text) ? text.split(',').map((part) => part.trim()) : []
}

const TOKENS = {
  default: '',
  expected: 'tokens of visible ASCII characters, separated by commas',
  secret: true,
  parse: (text: string, reject: Reject) =>
    /^ *([!-+\--~]+( *, *[!-+\--~]+)*)? *$/.test(text) ? parseList(text) : reject(),
}

const SECRET = {
  default: '',
  expected: 'any text',
  secret: true,
  parse: (text: string) => (isSet(text) ? text : undefined),
}

function isOrigin(text: string): boolean {
  return /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
}

/** Returns whether the text is an IP address or a range in CIDR notation (RFC 4632). */
function isAddressRange(text: string): boolean {
  const [, address = '', prefix] = /^([0-9a-fA-F.:]+)(?:\/([1-9][0-9]{0,2}))?$/.exec(text) ?? []
  const bits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0
  return bits > 0 && Number(prefix ?? bits) <= bits
}

function parseTrustProxy(text: string, reject: Reject): boolean | number | readonly string[] {
  const value = text.trim()
  if (/^(true|false)$/i.test(value)) return value.toLowerCase() === 'true'
  if (/^[1-9][0-9]?$/.test(value)) return Number(value)
  const ranges = parseList(value)
  return ranges.length > 0 && ranges.every(isAddressRange) ? ranges : reject(value)
}

function parseDatabaseUrl(url: string, reject: Reject): DatabaseAddress {
  if (/^postgres(ql)?:\/\/\S+$/i.test(url)) return { kind: 'postgres', url }
  const [, encoded] = /^sqlite:\/\/\/(\S(?:.*\S)?)$/i.exec(url) ?? []
  if (encoded === undefined) {
    const scheme = /^[^:]*:\/*/.exec(url)?.[0]
    return reject(scheme && `${scheme}…`)
  }
  const problem = (expected: string) => new ConfigError(`DATABASE_URL: expected ${expected}`)
  if (/[?#]/.test(encoded)) {
    throw problem('a sqlite URL without parameters; in a file name ? is %3F and # is %23')
  }
  let path: string
  try {
    path = decodeURIComponent(encoded)
  } catch {
    throw problem('percent-encoded UTF-8; in a file name % is %25')
  }
  if (path.includes('\0')) throw problem('a path without NUL')
  return { kind: 'sqlite', path: path === ':memory:' ? undefined : path }
}

const LOG_LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR'] as const

/** All settings, by field of `Config`. The README's table is generated from them. */
export const SETTINGS = {
  /** Undefined if not set; posts are rejected then. */
  secret: {
    name: 'WEBHOOK_SECRET',
    description:
      'The secret of the HMAC-SHA256 signatures. Without it the service starts, logs a warning, is not ready and answers every post with 503.',
    ...SECRET,
  },
  previousSecret: {
    name: 'WEBHOOK_SECRET_PREVIOUS',
    description:
      'The former secret, still accepted: see [changing the secret](#changing-the-secret).',
    requires: 'WEBHOOK_SECRET',
    ...SECRET,
  },
  /** Empty if anybody may read messages and statistics. */
  apiTokens: {
    name: 'API_TOKEN',
    description:
      'Tokens, separated by commas. `/messages` and `/stats` require one of them as `Authorization: Bearer …`. Without tokens anybody can read, and the service logs a warning.',
    ...TOKENS,
  },
  /** Empty if anybody may read the metrics. */
  metricsTokens: {
    name: 'METRICS_TOKEN',
    description: 'The same for `/metrics`.',
    ...TOKENS,
  },
  /** Empty if pages of other origins may not read. */
  corsOrigins: {
    name: 'CORS_ORIGINS',
    default: '',
    expected: 'origins such as https://dashboard.example.org, separated by commas',
    description:
      'Origins whose pages may read in a browser, such as `https://dashboard.example.org`, separated by commas.',
    parse: (text, reject) =>
      parseList(text).map((origin) => (isOrigin(origin) ? origin : reject(origin))),
  },
  /** Whether all proxies are trusted, the number of those that are, or their addresses and ranges. */
  trustProxy: {
    name: 'TRUST_PROXY',
    default: 'false',
    expected:
      'true, false, a number of proxies from 1 to 99, or addresses and ranges such as 10.0.0.0/8, separated by commas',
    description:
      'Proxies whose `X-Forwarded-For` is trusted; it determines the client address that the limits apply to. `true` for all, a number of proxies in front of the service, or addresses and ranges such as `10.0.0.0/8`, separated by commas. Ports and brackets in the header are ignored; an entry that is not an address is replaced by the address of the proxy that sent it.',
    parse: parseTrustProxy,
  },
  /** Wrong signatures and tokens per client address and minute; 0 for no limit. */
  maxFailuresPerMinute: {
    name: 'MAX_FAILURES_PER_MINUTE',
    default: '300',
    description:
      'Wrong signatures and tokens per client address and minute; further ones get 429 instead of 401. Valid ones are still accepted. 0 for no limit.',
    ...integer(0, 999_999, { note: '; 0 for no limit' }),
  },
  /** Requests per client address and minute; 0 for no limit. */
  maxRequestsPerMinute: {
    name: 'MAX_REQUESTS_PER_MINUTE',
    default: '0',
    description:
      'Requests per client address and minute; further ones get 429. All requests count, including malformed ones and those for unknown paths, except health probes. 0 for no limit.',
    ...integer(0, 999_999, { note: '; 0 for no limit' }),
  },
  database: {
    name: 'DATABASE_URL',
    default: 'sqlite:////data/app.db',
    expected:
      'sqlite:///relative/path.db, sqlite:////absolute/path.db, sqlite:///:memory: or postgres://user:password@host/database',
    description:
      'The database: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`, or `sqlite:///:memory:` for a private temporary file. Missing folders are created. A sqlite URL has no parameters; in a file name write `%3F` for `?`, `%23` for `#` and `%25` for `%`. Or `postgres://user:password@host:5432/database`: see [PostgreSQL](#postgresql).',
    secret: true,
    parse: parseDatabaseUrl,
  },
  logLevel: {
    name: 'LOG_LEVEL',
    default: 'INFO',
    expected: 'DEBUG, INFO, WARNING or ERROR',
    description: 'The lowest level that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`.',
    parse: (text, reject) =>
      LOG_LEVELS.find((level) => level.toLowerCase() === text.toLowerCase()) ?? reject(),
  },
  host: {
    name: 'HOST',
    default: '0.0.0.0',
    expected: 'an address or a host name',
    description: 'The address to listen on.',
    parse: (text, reject) => (/^\S+$/.test(text) ? text : reject()),
  },
  /** 0 for any free port. */
  port: {
    name: 'PORT',
    default: '8000',
    description: 'The port to listen on; 0 for any free port.',
    ...integer(0, 65_535, { note: '; 0 takes any free port' }),
  },
  /** Maximum messages per commit. */
  maxBatch: {
    name: 'MAX_BATCH',
    default: '1000',
    description: 'Maximum messages per commit; 1 commits each message separately.',
    ...integer(1, 99_999),
  },
  /** Maximum posts in flight, before and after verification each; reads and public requests get a tenth. */
  maxWaiting: {
    name: 'MAX_WAITING',
    default: '1000',
    description:
      'Maximum messages being stored at once, and maximum posts whose signature is not verified yet. Reads and public requests get a tenth of it each. Excess requests get 503; posts are rejected from their headers alone.',
    ...integer(1, 99_999),
  },
  readTimeoutMs: {
    name: 'READ_TIMEOUT_MS',
    default: '5000',
    description: 'Time limit of a read; a read that exceeds it is cancelled and gets 503.',
    ...integer(1, 999_999, { unit: 'milliseconds,' }),
  },
  /** Milliseconds between SIGTERM and closing the listener. */
  shutdownDelayMs: {
    name: 'SHUTDOWN_DELAY_MS',
    default: '0',
    description:
      'Time between SIGTERM and closing the listener. Meanwhile requests are served and readiness is 503, so that load balancers stop sending new ones.',
    ...integer(0, 999_999, { unit: 'milliseconds,' }),
  },
} satisfies Record<string, Setting>
