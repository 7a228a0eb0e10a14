import { execFileSync } from 'node:child_process'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { StoreUnavailableError } from '../../../src/db/message-store.ts'
import { createPools } from '../../../src/db/postgres/pools.ts'
import { PostgresStore } from '../../../src/db/postgres/store.ts'
import { message } from '../store-suite.ts'
import { createDatabase, eventually, execute, openStore, SERVER } from './server.ts'

/** File with the certificate of the server; undefined if the server does not support TLS. */
const CA = process.env.TEST_POSTGRES_CA

const skip =
  SERVER && CA
    ? false
    : 'no PostgreSQL with TLS: set TEST_POSTGRES_URL and TEST_POSTGRES_CA, the file of its certificate'

t.test('every connection uses TLS if the URL requires it', { skip }, async (t) => {
  const url = await createDatabase(t)
  const store = await openStore(t, `${url}?sslmode=verify-full&sslrootcert=${CA}`)
  t.same(await store.append([message({ message_id: 'a', text: 'hello' })]), ['created'])
  t.equal((await store.page({ order: 'asc', limit: 1, offset: 0, q: 'hello' })).total, 1)
  t.equal((await store.stats()).total_messages, 1)
  const connections = await execute(
    url,
    `select ssl from pg_stat_ssl join pg_stat_activity using (pid)
     where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
  )
  t.ok(connections.length >= 3)
  t.ok(connections.every(({ ssl }) => ssl === true))
})

t.test('sends cancel requests over TLS', { skip }, async (t) => {
  const url = await createDatabase(t)
  const tls = `${url}?sslmode=verify-full&sslrootcert=${CA}`
  const { searches } = createPools(tls, { unlimited: false, readTimeoutMs: 60_000 })
  t.teardown(() => searches.close(0))
  const sleeping = `select count(*)::int from pg_stat_activity
    where datname = current_database() and query ~ '^select pg_sleep' and state = 'active'`
  const controller = new AbortController()
  const reading = searches.run((session) => sql`select pg_sleep(60)`.execute(session), controller)
  await eventually(url, sleeping, ({ count }) => count === 1)
  controller.abort()
  await t.rejects(reading, StoreUnavailableError)
  await eventually(url, sleeping, ({ count }) => count === 0)
})

/** Creates a certificate that no server uses. @returns its path. */
function otherCertificate(t: Test): string {
  const folder = t.testdir()
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-days', '2', '-subj', '/CN=other', '-keyout', `${folder}/key.pem`],
      ...['-out', `${folder}/other.pem`],
    ],
    { stdio: 'ignore' },
  )
  return `${folder}/other.pem`
}

t.test('sslmode has the same meaning as in libpq', { skip }, async (t) => {
  const other = otherCertificate(t)
  const url = await createDatabase(t)
  const options: [string, string | RegExp][] = [
    ['sslmode=disable', 'plain'],
    ['sslmode=require', 'TLS'],
    [`sslmode=require&sslrootcert=${CA}`, 'TLS'],
    [`sslmode=require&sslrootcert=${other}`, /self-signed certificate/],
    [`sslmode=verify-ca&sslrootcert=${CA}`, 'TLS'],
    [`sslmode=verify-ca&sslrootcert=${other}`, /self-signed certificate/],
    ['sslmode=verify-ca', /verify-ca needs the certificate of a CA in sslrootcert$/],
    [`sslmode=verify-full&sslrootcert=${CA}`, 'TLS'],
    [`sslrootcert=${CA}`, 'TLS'],
    ['sslmode=verify-full', /self-signed certificate/],
    ['sslmode=verify-full&sslrootcert=system', /self-signed certificate/],
    ['sslmode=prefer', /^sslmode=prefer may connect without TLS and is not supported/],
    ['sslmode=allow', /^sslmode=allow may connect without TLS and is not supported/],
    ['sslmode=on', /^expected sslmode to be disable, require, verify-ca or verify-full/],
    [
      'sslmode=verify-full&sslrootcert=/nowhere.pem',
      /^cannot read the file of sslrootcert, \/nowhere.pem: ENOENT$/,
    ],
  ]
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  for (const [option, expected] of options) {
    const found = await encryption(`${url}?${option}`)
    if (typeof expected === 'string') t.equal(found, expected, option)
    else t.match(found, expected, option)
    t.notMatch(found, '\n')
  }
  t.same(warnings, [])
})

/** Returns `TLS` or `plain` for connections to a URL, or the error message if there is no connection. */
async function encryption(url: string): Promise<string> {
  try {
    const { reads } = createPools(url, { unlimited: false, readTimeoutMs: 5000 })
    const { rows } = await reads
      .run((session) =>
        sql<{ ssl: boolean }>`
          select ssl from pg_stat_ssl where pid = pg_backend_pid()`.execute(session),
      )
      .finally(() => reads.close(0))
    return rows[0]?.ssl ? 'TLS' : 'plain'
  } catch (error) {
    return String(error instanceof Error ? error.message : error)
  }
}

t.test(
  'rejects an untrusted certificate with a one-line message that omits the password',
  { skip },
  async (t) => {
    const other = otherCertificate(t)
    const url = new URL(SERVER ?? '')
    url.password = 's3cret'
    url.search = `?sslmode=verify-full&sslrootcert=${other}`
    const opening = PostgresStore.open(url.href, { unlimited: false, readTimeoutMs: 5000 })
    await t.rejects(opening, {
      name: 'StoreOpenError',
      message: /^cannot open [^\n]+ self-signed certificate[^\n]*$/,
    })
    await opening.catch((error) => t.notMatch(error.message, 's3cret'))
  },
)
