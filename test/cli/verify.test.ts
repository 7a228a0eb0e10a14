import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import t from 'tap'
import { SqliteStore } from '../../src/db/sqlite/store.ts'
import { message } from '../db/store-suite.ts'
import { folderOf, ONE_ERROR_LINE, runEntry, startService, wire } from '../service.ts'

const ENVIRONMENT = { DATABASE_URL: 'sqlite:///app.db' }

t.test('verifies and repairs while a service runs', async (t) => {
  const lines = Array.from({ length: 50 }, (_, n) => wire({ message_id: `m${n}`, text: 'Hello' }))
  await runEntry(t, ['import', '-'], ENVIRONMENT, lines.join('\n'))
  const { url } = await startService(t)
  const fine = {
    status: 0,
    stdout: 'no differences in 50 messages\n',
    stderr: `database: ${folderOf(t)}/app.db\n`,
  }
  t.strictSame(await runEntry(t, ['verify'], ENVIRONMENT), fine)

  const database = new Database(`${folderOf(t)}/app.db`)
  // Rows above this watermark are indexed already: the repair must not index them a second time.
  database.exec('update watermark set seq = 20; delete from days')
  database.close()
  const found = await runEntry(t, ['verify'], ENVIRONMENT)
  t.equal(found.status, 1)
  t.match(found.stdout, /^days: 1 missing$/m)
  const repaired = await runEntry(t, ['verify', '--repair'], ENVIRONMENT)
  t.equal(repaired.status, 0, repaired.stderr)
  t.match(repaired.stdout, /^days: 1 missing$/m)
  t.match(repaired.stdout, /^no differences in 50 messages\n$/m)
  t.strictSame(await runEntry(t, ['verify', '--repair'], ENVIRONMENT), fine)
  const page = await (await fetch(`${url}/messages?q=hello&limit=1`)).json()
  t.match(page, { total: 50 })
})

t.test('reports how many stored messages are not indexed yet', async (t) => {
  const path = `${folderOf(t)}/app.db`
  const store = await SqliteStore.open(path)
  await store.append(['a', 'b'].map((message_id) => message({ message_id })))
  await store.catchUp()
  await store.append([message({ message_id: 'c' })])
  await store.close()
  t.match(await runEntry(t, ['verify'], ENVIRONMENT), {
    status: 0,
    stdout: 'no differences in 2 messages; 1 is not indexed yet; queries read them directly\n',
  })
})

t.test('exits with status 1 and one line on errors, and creates no file', async (t) => {
  for (const args of [['verify'], ['verify', '--repair'], ['verify', 'more']]) {
    const { status, stderr } = await runEntry(t, args, ENVIRONMENT)
    t.equal(status, 1)
    t.match(stderr, ONE_ERROR_LINE)
  }
  t.notOk(existsSync(`${folderOf(t)}/app.db`))
})
