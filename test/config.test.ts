import t from 'tap'
import { ConfigError, parseConfig } from '../src/config.ts'

t.test('returns the documented defaults for an empty environment', async (t) => {
  t.strictSame(parseConfig({}), {
    sources: {
      webhook: { secret: undefined, previousSecret: undefined },
      meta: { secret: undefined, previousSecret: undefined, verifyToken: undefined },
      standard: { secrets: [], toleranceS: 300 },
    },
    apiTokens: [],
    metricsTokens: [],
    corsOrigins: [],
    dashboard: true,
    trustProxy: false,
    maxFailuresPerMinute: 300,
    maxRequestsPerMinute: 0,
    database: { kind: 'sqlite', path: '/data/app.db' },
    logLevel: 'INFO',
    host: '0.0.0.0',
    port: 8000,
    maxBatch: 1000,
    maxWaiting: 1000,
    maxStreams: 100,
    maxRejected: 1000,
    retentionDays: 0,
    backupBeforeMigration: true,
    readTimeoutMs: 5000,
    shutdownDelayMs: 0,
  })
})

t.test('parses every setting', async (t) => {
  t.strictSame(
    parseConfig({
      WEBHOOK_SECRET: ' s3cret ',
      WEBHOOK_SECRET_PREVIOUS: 'older',
      META_APP_SECRET: 'app',
      META_APP_SECRET_PREVIOUS: 'former',
      META_VERIFY_TOKEN: 'token',
      STANDARD_WEBHOOKS_SECRET: ` whsec_${'YWFh'.repeat(8)}  whsec_${Buffer.alloc(64, 'b').toString('base64')} `,
      STANDARD_WEBHOOKS_TOLERANCE_S: '60',
      API_TOKEN: 'one, t/w+o== ,three',
      METRICS_TOKEN: ' scraper ',
      CORS_ORIGINS: 'https://a.example, http://localhost:3000',
      DASHBOARD: 'false',
      TRUST_PROXY: '127.0.0.1, 10.0.0.0/8,fd00::/8',
      MAX_FAILURES_PER_MINUTE: '0',
      MAX_REQUESTS_PER_MINUTE: '6000',
      DATABASE_URL: 'sqlite:///relative/path.db',
      LOG_LEVEL: 'warning',
      HOST: '::1',
      PORT: '65535',
      MAX_BATCH: '1',
      MAX_WAITING: '64',
      MAX_STREAMS: '7',
      MAX_REJECTED: '0',
      RETENTION_DAYS: '7',
      BACKUP_BEFORE_MIGRATION: 'false',
      READ_TIMEOUT_MS: '250',
      SHUTDOWN_DELAY_MS: '5000',
      UNKNOWN: 'ignored',
    }),
    {
      sources: {
        webhook: { secret: ' s3cret ', previousSecret: 'older' },
        meta: { secret: 'app', previousSecret: 'former', verifyToken: 'token' },
        standard: {
          secrets: [Buffer.alloc(24, 'a'), Buffer.alloc(64, 'b')],
          toleranceS: 60,
        },
      },
      apiTokens: ['one', 't/w+o==', 'three'],
      metricsTokens: ['scraper'],
      corsOrigins: ['https://a.example', 'http://localhost:3000'],
      dashboard: false,
      trustProxy: ['127.0.0.1', '10.0.0.0/8', 'fd00::/8'],
      maxFailuresPerMinute: 0,
      maxRequestsPerMinute: 6000,
      database: { kind: 'sqlite', path: 'relative/path.db' },
      logLevel: 'WARNING',
      host: '::1',
      port: 65535,
      maxBatch: 1,
      maxWaiting: 64,
      maxStreams: 7,
      maxRejected: 0,
      retentionDays: 7,
      backupBeforeMigration: false,
      readTimeoutMs: 250,
      shutdownDelayMs: 5000,
    },
  )
  const databaseOf = (url: string) => parseConfig({ DATABASE_URL: url }).database
  t.strictSame(databaseOf('sqlite:////tmp/x.db'), { kind: 'sqlite', path: '/tmp/x.db' })
  t.strictSame(databaseOf('sqlite:///:memory:'), { kind: 'sqlite', path: undefined })
  t.strictSame(databaseOf('sqlite:///a%3Fb%23c%25d e.db'), { kind: 'sqlite', path: 'a?b#c%d e.db' })
  for (const url of ['postgres://u:p@host:5433/db?max=20', 'postgresql:///db?host=/run']) {
    t.strictSame(databaseOf(url), { kind: 'postgres', url })
  }
})

t.test('treats a blank secret or list as not set', async (t) => {
  for (const secret of ['', ' ', '\t\n']) {
    const config = parseConfig({ WEBHOOK_SECRET: secret, WEBHOOK_SECRET_PREVIOUS: secret })
    t.equal(config.sources.webhook.secret, undefined)
    t.equal(config.sources.webhook.previousSecret, undefined)
  }
  for (const name of ['API_TOKEN', 'METRICS_TOKEN', 'CORS_ORIGINS']) {
    t.strictSame(parseConfig({ [name]: ' ' }), parseConfig({}))
  }
})

t.test('parses TRUST_PROXY as a boolean, a number of proxies or addresses', async (t) => {
  for (const [value, expected] of [
    ['true', true],
    ['FALSE', false],
    ['1', 1],
    ['99', 99],
    ['::1', ['::1']],
    ['192.0.2.1/32, 2001:db8::/32', ['192.0.2.1/32', '2001:db8::/32']],
  ] as const) {
    t.strictSame(parseConfig({ TRUST_PROXY: value }).trustProxy, expected)
  }
})

t.test('reads secrets from the files that …_FILE variables name', async (t) => {
  const folder = t.testdir({
    unix: 'from a file\n',
    windows: '\ufefffrom a file\r\n',
    lines: 'two\nlines\n\n',
    tokens: 'a,b\n',
    url: 'sqlite:///elsewhere.db\n',
    empty: '\n',
    latin: Buffer.from([0xe9]),
  })
  for (const name of ['unix', 'windows']) {
    t.equal(
      parseConfig({ WEBHOOK_SECRET_FILE: `${folder}/${name}` }).sources.webhook.secret,
      'from a file',
    )
  }
  t.equal(
    parseConfig({ WEBHOOK_SECRET_FILE: `${folder}/lines` }).sources.webhook.secret,
    'two\nlines\n',
  )
  t.match(
    parseConfig({
      WEBHOOK_SECRET: '',
      WEBHOOK_SECRET_FILE: `${folder}/unix`,
      WEBHOOK_SECRET_PREVIOUS_FILE: `${folder}/lines`,
      API_TOKEN_FILE: `${folder}/tokens`,
      METRICS_TOKEN_FILE: `${folder}/tokens`,
      DATABASE_URL_FILE: `${folder}/url`,
    }),
    {
      sources: { webhook: { secret: 'from a file', previousSecret: 'two\nlines\n' } },
      apiTokens: ['a', 'b'],
      metricsTokens: ['a', 'b'],
      database: { kind: 'sqlite', path: 'elsewhere.db' },
    },
  )
  t.equal(parseConfig({ WEBHOOK_SECRET: 'x', WEBHOOK_SECRET_FILE: '' }).sources.webhook.secret, 'x')
  t.equal(parseConfig({ HOST_FILE: `${folder}/unix` }).host, '0.0.0.0')

  for (const [environment, message] of [
    [{ WEBHOOK_SECRET_FILE: `${folder}/missing` }, /^WEBHOOK_SECRET_FILE: ENOENT[^\n]+missing'$/],
    [{ WEBHOOK_SECRET_FILE: folder }, /^WEBHOOK_SECRET_FILE: EISDIR[^\n]+$/],
    [{ API_TOKEN_FILE: 'a\0b' }, /^API_TOKEN_FILE: [^\n]+$/],
    [{ API_TOKEN_FILE: `${folder}/empty` }, /^API_TOKEN_FILE: expected a value in [^\n]+ none$/],
    [{ WEBHOOK_SECRET_FILE: `${folder}/latin` }, /^WEBHOOK_SECRET_FILE: [^\n]+utf-8$/],
    [{ API_TOKEN_FILE: `${folder}/lines` }, /^API_TOKEN: expected tokens of[^\n]+commas$/],
    [
      { DATABASE_URL: 'sqlite:///a.db', DATABASE_URL_FILE: `${folder}/url` },
      /^DATABASE_URL: expected DATABASE_URL or DATABASE_URL_FILE, found both$/,
    ],
    [
      { WEBHOOK_SECRET_PREVIOUS: 'x' },
      /^WEBHOOK_SECRET_PREVIOUS: expected WEBHOOK_SECRET to be set, too$/,
    ],
  ] as const) {
    try {
      parseConfig(environment)
      t.fail(JSON.stringify(environment))
    } catch (error) {
      t.ok(error instanceof ConfigError)
      t.match(error, { message })
    }
  }
})

t.test('rejects a bad value in one line that names the variable and omits secrets', async (t) => {
  for (const [name, ...values] of [
    ['PORT', 'abc', '', '-1', '65536', '99999', '80.5', '0x50', ' 80'],
    ['LOG_LEVEL', 'loud', '', 'INFO,DEBUG'],
    [
      'DATABASE_URL',
      '',
      'app.db',
      'mysql://user:pw@host/db',
      'sqlite://',
      'sqlite:///',
      'sqlite:///a.db ',
      'sqlite:/// a.db',
      'sqlite:///a\0b',
      'sqlite:///a%00b',
      'sqlite:////a.db?timeout=5',
      'sqlite:///a.db#main',
      'sqlite:///:memory:?cache=shared',
      'sqlite:///50%.db',
      'sqlite:///%ff.db',
    ],
    ['HOST', '', 'a b'],
    ['MAX_BATCH', '0', '-1', '1.5', '100000'],
    ['API_TOKEN', ',', 'a,', 'a,,b', 'a b', 'é', 'a\n', 'a\0'],
    ['METRICS_TOKEN', ',', 'a b'],
    [
      'CORS_ORIGINS',
      '*',
      'null',
      'example.org',
      'https://example.org/',
      'https://Example.org',
      'https://example.org:443',
      'https://*.example.org',
      'https://a.example,',
      'ftp://example.org',
      'javascript:alert(1)',
    ],
    [
      'TRUST_PROXY',
      '',
      '0',
      '100',
      '-1',
      'yes',
      'loopback,',
      'example.org',
      '10.0.0.0/0',
      '10.0.0.0/33',
      '10.0.0/8',
      '::/129',
      'fe80::1%eth0',
      '10.0.0.1, true',
      '10.0.0.0/8/8',
    ],
    ['MAX_FAILURES_PER_MINUTE', '', '-1', '1e3', '1000000'],
    ['MAX_REQUESTS_PER_MINUTE', '', '-1', '1.5'],
    [
      'STANDARD_WEBHOOKS_SECRET',
      'whsec_',
      'whsec_c2hvcnQ=',
      `whsec_${'YWFh'.repeat(22)}`,
      `whsec_${'YW_-'.repeat(8)}`,
      `whsec_${'YWFh'.repeat(8)},whsec_${'YWFh'.repeat(8)}`,
    ],
    ['STANDARD_WEBHOOKS_TOLERANCE_S', '0', '-1', '5m'],
    ['SHUTDOWN_DELAY_MS', '-1', '1s', '10000000'],
  ] as const) {
    for (const value of values) {
      try {
        parseConfig({ [name]: value })
        t.fail(`${name}=${value}`)
      } catch (error) {
        t.ok(error instanceof ConfigError)
        t.match(error, { message: new RegExp(`^${name}: expected [^\\n]+$`) })
      }
    }
  }
  t.throws(() => parseConfig({ DATABASE_URL: 'mysql://user:pw@host/db' }), {
    message: /^((?!pw).)*$/,
  })
  t.throws(() => parseConfig({ API_TOKEN: 'hid den' }), { message: /^((?!hid|den).)*$/ })
})
