import t from 'tap'
import { message } from '../store-suite.ts'
import {
  countScans,
  createDatabase,
  eventually,
  execute,
  indexed,
  NO_SERVER,
  openStore,
} from './server.ts'

const LOCALES = {
  'in the C locale': "lc_collate 'C' lc_ctype 'C'",
  'in C.UTF-8': "lc_collate 'C' lc_ctype 'C.utf8'",
  'with ICU': "lc_collate 'C' lc_ctype 'C' locale_provider icu icu_locale 'tr-TR'",
}

const NEEDLES = ['слово', 'größe', 'λόγος', '你好吗', '🦜🦜🦜', '100 % sure', '“a”', "it's"]

t.test('on a server', { skip: NO_SERVER }, async (t) => {
  t.test(
    'builds a text index in its own schema if another schema on the search path has one',
    async (t) => {
      const url = await createDatabase(t)
      await execute(url, 'create schema first', 'create schema second', 'create extension pg_trgm')
      for (const path of ['first,public', 'second,first,public']) {
        const withPath = new URL(url)
        withPath.searchParams.set('options', `-c search_path=${path}`)
        await openStore(t, withPath.href)
        await eventually(
          url,
          `select indisvalid from pg_index join pg_class on pg_class.oid = indexrelid
         where relname like 'messages_by_text' and relnamespace = '${path.split(',')[0]}'::regnamespace`,
          ({ indisvalid }) => indisvalid === true,
        )
      }
    },
  )

  for (const [name, locale] of Object.entries(LOCALES)) {
    t.test(`searches use the text index in every script, ${name}`, async (t) => {
      const url = await createDatabase(t, locale)
      const filling = await openStore(t, url)
      await indexed(url)
      // Texts with the same keys as needles, and enough others that the planner prefers the index.
      const texts = [...NEEDLES, '9b4me', 'abc', 'zzz', 'sure', ...Array(5000).fill('hello')]
      await filling.append(
        texts.map((text, n) => message({ message_id: `m${n}`, text: `so ${text} on` })),
      )
      await filling.close()
      await execute(url, 'vacuum analyze messages')
      const before = await countScans(url)
      const store = await openStore(t, url)
      for (const [n, q] of NEEDLES.entries()) {
        const { data, total } = await store.page({ order: 'asc', limit: 9, offset: 0, q })
        t.same([total, data[0]?.message_id], [1, `m${n}`], q)
      }
      await store.close()
      t.equal(await countScans(url), before, 'no sequential scan of messages')
    })
  }
})
