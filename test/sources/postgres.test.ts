import t from 'tap'
import { NO_SERVER } from '../db/postgres/server.ts'

// The sources behave the same on PostgreSQL: these tests run again with a PostgreSQL store.
t.jobs = 2
for (const name of ['meta', 'standard']) {
  t.spawn(
    process.execPath,
    [new URL(`${name}.test.ts`, import.meta.url).pathname],
    {
      env: { ...process.env, TEST_STORE: 'postgres' },
      skip: NO_SERVER,
    },
    `${name} on PostgreSQL`,
  )
}
