import { isAddressRange } from './client-address.ts'
import {
  ConfigError,
  integer,
  parseList,
  type Reject,
  type Setting,
  SWITCH,
  TOKENS,
} from './setting.ts'

/**
 * Address of the database.
 * A `path` is undefined for a private temporary file. A `url` includes the password, and must not be logged.
 */
export type DatabaseAddress =
  | { kind: 'sqlite'; path: string | undefined }
  | { kind: 'postgres'; url: string }

function isOrigin(text: string): boolean {
  return /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
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
  if (encoded === undefined) return reject(/^[^:]*:\/*/.exec(url)?.[0].concat('…'))
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

/** The settings of the service itself, by field of `Config`; each source declares its own. */
export const SETTINGS = {
  /** Tokens for reading messages and statistics; empty if no token is required. */
  apiTokens: {
    name: 'API_TOKEN',
    description:
      'Tokens, separated by commas. `/messages`, `/feed`, `/stats`, `/senders`, `/rejected` and `/status` require one of them as `Authorization: Bearer …`. Without tokens anyone can read, and the service logs a warning.',
    ...TOKENS,
  },
  /** Tokens for reading the metrics; empty if no token is required. */
  metricsTokens: {
    name: 'METRICS_TOKEN',
    description: 'The same for `/metrics`.',
    ...TOKENS,
  },
  /** Origins whose pages may read responses in a browser; empty for none. */
  corsOrigins: {
    name: 'CORS_ORIGINS',
    default: '',
    expected: 'origins such as https://dashboard.example.org, separated by commas',
    description:
      'Origins whose pages may read in a browser, such as `https://dashboard.example.org`, separated by commas.',
    parse: (text, reject) =>
      parseList(text).map((origin) => (isOrigin(origin) ? origin : reject(origin))),
  },
  /** Whether the dashboard is served. */
  dashboard: {
    name: 'DASHBOARD',
    default: 'true',
    description: 'Whether the [dashboard](#dashboard) is served at `/dashboard`.',
    ...SWITCH,
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
    ...integer(0, 999_999, { suffix: '; 0 for no limit' }),
  },
  /** Requests per client address and minute; 0 for no limit. */
  maxRequestsPerMinute: {
    name: 'MAX_REQUESTS_PER_MINUTE',
    default: '0',
    description:
      'Requests per client address and minute; further ones get 429. All requests count, including malformed ones and those for unknown paths, except health probes. 0 for no limit.',
    ...integer(0, 999_999, { suffix: '; 0 for no limit' }),
  },
  /** The database, by default a SQLite file. */
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
  /** Lowest level that is logged. */
  logLevel: {
    name: 'LOG_LEVEL',
    default: 'INFO',
    expected: 'DEBUG, INFO, WARNING or ERROR',
    description: 'The lowest level that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`.',
    parse: (text, reject) =>
      LOG_LEVELS.find((level) => level.toLowerCase() === text.toLowerCase()) ?? reject(),
  },
  /** Address or host name to listen on. */
  host: {
    name: 'HOST',
    default: '0.0.0.0',
    expected: 'an address or a host name',
    description: 'The address to listen on.',
    parse: (text, reject) => (/^\S+$/.test(text) ? text : reject()),
  },
  /** Port to listen on; 0 for any free port. */
  port: {
    name: 'PORT',
    default: '8000',
    description: 'The port to listen on; 0 for any free port.',
    ...integer(0, 65_535, { suffix: '; 0 takes any free port' }),
  },
  /** Maximum messages per commit. */
  maxBatch: {
    name: 'MAX_BATCH',
    default: '1000',
    description: 'Maximum messages per commit; 1 commits each message separately.',
    ...integer(1, 99_999),
  },
  /** Maximum posts in flight, separately before and after their verification. */
  maxWaiting: {
    name: 'MAX_WAITING',
    default: '1000',
    description:
      'Maximum posts being stored at once, and maximum posts whose signature is not verified yet; a post counts once for each 64 KiB of its body. Reads and public requests get a tenth of it each. Excess requests get 503; posts are rejected before their body is read.',
    ...integer(1, 99_999),
  },
  /** Maximum concurrent exports and requests that follow the feed. */
  maxStreams: {
    name: 'MAX_STREAMS',
    default: '100',
    description:
      'Maximum exports and requests that follow the [feed](#feed) at once, as streams or by long polling. Excess requests get 503.',
    ...integer(1, 9999),
  },
  /** Maximum number of rejected bodies that are kept. */
  maxRejected: {
    name: 'MAX_REJECTED',
    default: '1000',
    description:
      'Maximum number of rejected bodies that are kept: see [rejected bodies](#rejected-bodies). 0 keeps none.',
    ...integer(0, 99_999, { suffix: '; 0 keeps none' }),
  },
  /** Days for which messages are kept; 0 to keep all. */
  retentionDays: {
    name: 'RETENTION_DAYS',
    default: '0',
    expected: 'a number from 7 to 36500, or 0 to keep all messages',
    description:
      'Days for which messages are kept: older ones, by their `ts`, are removed. At least 7, as senders repeat messages for that long. 0 keeps all.',
    parse: (text, reject) => {
      const days = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
      return days === 0 || (days >= 7 && days <= 36_500) ? days : reject()
    },
  },
  /** Whether a SQLite file is backed up before its schema is migrated. */
  backupBeforeMigration: {
    name: 'BACKUP_BEFORE_MIGRATION',
    default: 'true',
    description:
      'Whether a SQLite file is copied before a new version migrates its schema, to a file beside it: see [upgrading](docs/operations.md#upgrading).',
    ...SWITCH,
  },
  /** Milliseconds after which a read is cancelled. */
  readTimeoutMs: {
    name: 'READ_TIMEOUT_MS',
    default: '5000',
    description: 'Time limit of a read; a read that exceeds it is cancelled and gets 503.',
    ...integer(1, 999_999, { prefix: 'milliseconds,' }),
  },
  /** Milliseconds between SIGTERM and closing the listener. */
  shutdownDelayMs: {
    name: 'SHUTDOWN_DELAY_MS',
    default: '0',
    description:
      'Time between SIGTERM and closing the listener. Meanwhile requests are served and readiness is 503, so that load balancers stop sending new ones.',
    ...integer(0, 999_999, { prefix: 'milliseconds,' }),
  },
} satisfies Record<string, Setting>
