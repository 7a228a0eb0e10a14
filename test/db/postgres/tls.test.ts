import { execFileSync } from 'node:child_process'
import t from 'tap'
import { PostgresStore } from '../../../src/db/postgres/store.ts'
import { message } from '../store-suite.ts'
import { createDatabase, execute, openStore, SERVER } from './server.ts'

/** The certificate of the server, where it speaks TLS. */
const CA = process.env.TEST_POSTGRES_CA

const skip = SERVER && CA ? false : 'TEST_POSTGRES_CA names no certificate'

t.test('a URL that asks for TLS gets it, on every connection', { skip }, async (t) => {
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

t.test('a server with another certificate is refused in one line', { skip }, async (t) => {
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
  const url = new URL(SERVER ?? '')
  url.password = 'untold'
  url.search = `?sslmode=verify-full&sslrootcert=${folder}/other.pem`
  const opening = PostgresStore.open(url.href, { patient: false, readTimeoutMs: 5000 })
  await t.rejects(opening, {
    name: 'StoreOpenError',
    message: /^cannot open [^\n]+ self-signed certificate[^\n]*$/,
  })
  await opening.catch((error) => t.notMatch(error.message, 'untold'))
})
