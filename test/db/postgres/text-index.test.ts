import t from 'tap'
import { createDatabase, eventually, execute, openStore, SERVER } from './server.ts'

t.test('on a server', { skip: !SERVER }, async (t) => {
  t.test('a service in a schema behind another one builds its own text index', async (t) => {
    const url = await createDatabase(t)
    await execute(url, 'create schema first', 'create schema second', 'create extension pg_trgm')
    for (const path of ['first,public', 'second,first,public']) {
      const own = new URL(url)
      own.searchParams.set('options', `-c search_path=${path}`)
      await openStore(t, own.href)
      await eventually(
        url,
        `select indisvalid from pg_index join pg_class on pg_class.oid = indexrelid
         where relname like 'messages_by_text' and relnamespace = '${path.split(',')[0]}'::regnamespace`,
        ({ indisvalid }) => indisvalid === true,
      )
    }
  })
})
