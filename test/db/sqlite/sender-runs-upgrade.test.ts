import { join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { openWriter } from '../../../src/db/sqlite/connection.ts'
import { migrate } from '../../../src/db/sqlite/migrations/migrate.ts'
import { verify } from '../../../src/db/sqlite/offline/verify.ts'
import { prepareSenderUpgrade } from '../../../src/db/sqlite/sender-runs-upgrade.ts'
import { SqliteStore } from '../../../src/db/sqlite/store.ts'
import { message } from '../store-suite.ts'
import { BEFORE_SOURCES } from './downgrade.ts'

t.setTimeout(120_000)

const SENDERS = 7

/** Enough for three steps of the upgrade. */
const MESSAGES = 25_000

/** Turns the schema of a file into the one before the sender index consisted of runs. */
const DOWNGRADE = `${BEFORE_SOURCES}
  create table sender_messages (
    sender integer not null, ts_key text not null, message_id text not null, seq integer not null,
    primary key (sender, ts_key, message_id)
  ) without rowid;
  insert into sender_messages select sender, ts_key, message_id, seq
    from sender_entries join sender_runs using (run) where state in ('live', 'source');
  drop table sender_entries;
  drop table sender_runs;
  alter table watermark drop column trigrams;
  insert into trigrams (trigrams, rank) values ('automerge', 16);
  delete from kysely_migration where name = '0003-sender-runs';
`

/** Creates a file of the earlier schema. */
async function olderFile(t: Test): Promise<string> {
  const path = join(t.testdir(), 'app.db')
  const store = await SqliteStore.open(path, undefined, { bulk: true })
  await store.append(
    Array.from({ length: MESSAGES }, (_, number) =>
      message({
        message_id: `m${number}`,
        from_msisdn: `+${number % SENDERS}`,
        ts: new Date(Date.UTC(2025, 0, 1) + ((number * 7919) % MESSAGES) * 1000).toISOString(),
      }),
    ),
  )
  await store.catchUp()
  await store.close()
  const database = new Database(path)
  database.exec(DOWNGRADE)
  database.close()
  return path
}

async function assertUpgraded(t: Test, path: string): Promise<void> {
  const progress: number[] = []
  const store = await SqliteStore.open(path, (left) => {
    progress.push(left)
  })
  t.teardown(() => store.close())
  t.ok(progress.length > 0, 'reports progress')
  t.strictSame(verify(path), { messages: MESSAGES, pending: 0, differences: [] })
  const page = await store.page({ order: 'desc', limit: 3, offset: 0, from: '+3' })
  t.equal(page.total, Math.ceil((MESSAGES - 3) / SENDERS))
  t.same(
    page.data.map(({ ts }) => ts),
    page.data
      .map(({ ts }) => ts)
      .sort()
      .reverse(),
  )
  await store.append([message({ message_id: 'new', from_msisdn: '+3' })])
  t.equal(
    (await store.page({ order: 'desc', limit: 1, offset: 0, from: '+3' })).total,
    (page.total ?? 0) + 1,
  )
}

t.test('moves an earlier sender index into a run', async (t) => {
  await assertUpgraded(t, await olderFile(t))
})

t.test('continues an interrupted upgrade', async (t) => {
  const path = await olderFile(t)
  const database = openWriter(path, true)
  await migrate(database, 1000)
  const left = prepareSenderUpgrade(database)()
  t.ok(left > 0 && left < MESSAGES, `${left} entries are left`)
  database.close()
  await assertUpgraded(t, path)
})
