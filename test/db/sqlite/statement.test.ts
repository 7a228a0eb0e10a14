import Database from 'better-sqlite3'
import t from 'tap'
import { build, compile, type Placeholders } from '../../../src/db/sqlite/queries/compile.ts'
import { prepareAll } from '../../../src/db/sqlite/statement.ts'

const queries = {
  count: compile((p: Placeholders<{ day: string; least: number }>) =>
    build.selectFrom('days').select('day').where('day', '=', p.day).where('count', '>=', p.least),
  ),
  all: compile(() => build.selectFrom('days').select('day')),
}

t.test('binds parameters by name; the compiler checks their names and types', async (t) => {
  const database = new Database(':memory:')
  database.exec("create table days (day text, count integer); insert into days values ('2025', 3)")
  const { count, all } = prepareAll(database, queries)
  t.same(all.all(), [{ day: '2025' }])
  t.same(count.get({ day: '2025', least: 3 }), { day: '2025' })
  t.equal(count.get({ day: '2025', least: 4 }), undefined)
  // @ts-expect-error a parameter is missing
  count.get({ day: '2025' })
  // @ts-expect-error all parameters are missing
  count.get()
  // @ts-expect-error a parameter is misspelt
  count.get({ day: '2025', last: 3 })
  // @ts-expect-error a value has the wrong type
  count.get({ day: '2025', least: '3' })
  // @ts-expect-error the query uses a parameter that it does not declare
  compile((p: Placeholders<{ day: string }>) => build.selectFrom('days').where('day', '=', p.dya))
  // @ts-expect-error the query compares a column with a parameter of another type
  compile((p: Placeholders<{ n: number }>) => build.selectFrom('days').where('day', '=', p.n))
})
