import t from 'tap'
import { verify } from '../../../src/db/postgres/offline/verify.ts'
import { scan } from '../../../src/db/postgres/queries/scan.ts'
import { PostgresStore } from '../../../src/db/postgres/store.ts'
import type { MessageFilter } from '../../../src/message/filter.ts'
import { suite } from '../store-suite.ts'
import { startPGlite } from './pglite.ts'

t.test('passes the store suite on PGlite', { timeout: 170_000 }, async (t) => {
  const { pglite, connect } = await startPGlite()
  t.teardown(() => pglite.close())
  suite(t, async (t) => {
    await pglite.exec('drop schema public cascade; create schema public')
    const pools = connect()
    const store = await PostgresStore.openOn(pools, { unlimited: false })
    t.teardown(() => store.close())
    return Object.assign(store, {
      scan: (filter: MessageFilter) => scan(pools.longRunning, filter),
      verify: () => pools.longRunning.run((session) => verify(session, () => {})),
    })
  })
})
