import t, { type Test } from 'tap'
import { PostgresStore } from '../../../src/db/postgres/store.ts'
import { suite } from '../store-suite.ts'
import { createDatabase, execute, SERVER } from './server.ts'

const OPTIONS = { patient: false, readTimeoutMs: 5000 }

/** Opens an empty store in a schema of its own. */
async function openIn(t: Test, url: string): Promise<PostgresStore> {
  const schema = `test_${Math.random().toString(36).slice(2)}`
  await execute(url, `create schema ${schema}`)
  const own = new URL(url)
  own.searchParams.set('options', `-c search_path=${schema},public`)
  const store = await PostgresStore.open(own.href, OPTIONS)
  t.teardown(() => store.close())
  return store
}

/** Locales whose order and whose case differ. */
const LOCALES = {
  'in the C locale': "lc_collate 'C' lc_ctype 'C'",
  'with ICU': "lc_collate 'C' lc_ctype 'C' locale_provider icu icu_locale 'tr-TR'",
}

for (const [name, options] of Object.entries(LOCALES)) {
  t.test(`keeps the promises of a store ${name}`, { skip: !SERVER }, async (t) => {
    const url = await createDatabase(t, options)
    suite(t, (t) => openIn(t, url))
  })
}
