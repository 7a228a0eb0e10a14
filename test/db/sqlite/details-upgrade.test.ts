import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import { SqliteStore } from '../../../src/db/sqlite/store.ts'
import { DEFAULT_DETAILS } from '../../../src/message/message.ts'
import { message } from '../store-suite.ts'
import { BEFORE_SOURCES } from './downgrade.ts'

t.test('messages of an earlier schema have the default details', async (t) => {
  const path = join(t.testdir(), 'app.db')
  const created = await SqliteStore.open(path)
  await created.append([message({ message_id: 'a' })])
  await created.close()
  const database = new Database(path)
  database.exec(BEFORE_SOURCES)
  database.close()

  const store = await SqliteStore.open(path)
  t.teardown(() => store.close())
  const expected = { ...message({ message_id: 'a' }), ...DEFAULT_DETAILS }
  t.strictSame(await store.message('a'), expected)
  t.same(await store.append([message({ message_id: 'b' })]), ['created'])
  const query = { order: 'asc' as const, limit: 9, offset: 0 }
  t.equal((await store.page({ ...query, source: 'webhook', type: 'text' })).total, 2)
})
