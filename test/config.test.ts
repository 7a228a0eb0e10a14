import t from 'tap'
import { ConfigError, parseConfig } from '../src/config.ts'

t.test('has the defaults of the reference', async (t) => {
  t.strictSame(parseConfig({}), {
    secret: undefined,
    sqlitePath: '/data/app.db',
    logLevel: 'INFO',
    host: '0.0.0.0',
    port: 8000,
    maxBatch: 1000,
    readTimeoutMs: 5000,
    shutdownDelayMs: 0,
  })
})

t.test('understands every setting', async (t) => {
  t.strictSame(
    parseConfig({
      WEBHOOK_SECRET: ' s3cret ',
      DATABASE_URL: 'sqlite:///relative/path.db',
      LOG_LEVEL: 'warning',
      HOST: '::1',
      PORT: '65535',
      MAX_BATCH: '1',
      READ_TIMEOUT_MS: '250',
      SHUTDOWN_DELAY_MS: '5000',
      UNKNOWN: 'ignored',
    }),
    {
      secret: ' s3cret ',
      sqlitePath: 'relative/path.db',
      logLevel: 'WARNING',
      host: '::1',
      port: 65535,
      maxBatch: 1,
      readTimeoutMs: 250,
      shutdownDelayMs: 5000,
    },
  )
  t.equal(parseConfig({ DATABASE_URL: 'sqlite:////tmp/x.db' }).sqlitePath, '/tmp/x.db')
  t.equal(parseConfig({ DATABASE_URL: 'sqlite:///:memory:' }).sqlitePath, undefined)
})

t.test('a blank secret is none', async (t) => {
  for (const secret of ['', ' ', '\t\n']) {
    t.equal(parseConfig({ WEBHOOK_SECRET: secret }).secret, undefined)
  }
})

t.test('a bad value is refused in one line that names the variable', async (t) => {
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
    ],
    ['HOST', '', 'a b'],
    ['MAX_BATCH', '0', '-1', '1.5', '100000'],
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
})
