import t, { type Test } from 'tap'
import { Cluster, programs } from '../../tools/cluster.ts'
import { execute } from '../db/postgres/server.ts'
import { runManual } from './manual.ts'
import { ManualRun } from './manual-run.ts'

t.setTimeout(300_000)

/** Returns the folder of PostgreSQL's programs; undefined if there are none. */
function findPrograms(): string | undefined {
  try {
    return programs()
  } catch {
    return undefined
  }
}

/** Starts a server with a role that owns databases and is not a superuser. */
async function startServer(t: Test): Promise<() => Promise<string>> {
  const cluster = await Cluster.start()
  t.teardown(() => cluster.remove())
  await execute(cluster.url('postgres'), 'create role webhook login')
  let count = 0
  return async () => {
    const name = `webhook_${++count}`
    const template = "template template0 encoding 'UTF8'"
    await execute(cluster.url('postgres'), `create database ${name} owner webhook ${template}`)
    const url = new URL(cluster.url(name))
    url.username = 'webhook'
    return url.href
  }
}

/** Advances the transaction ids of a server, so that they are ahead of those of a new one. */
const ADVANCE =
  'do $$ begin for i in 1..5000 loop perform pg_current_xact_id(); commit; end loop; end $$'

const folder = findPrograms()
const skip = folder === undefined && 'the programs of PostgreSQL are not installed'

t.test('the commands of the manual on PostgreSQL', { skip }, async (t) => {
  const createOld = await startServer(t)
  const createNew = await startServer(t)
  const databaseUrl = await createOld()
  await execute(databaseUrl, ADVANCE)
  const run = await ManualRun.start(t, {
    databaseUrl,
    createDatabase: createNew,
    ...(folder !== undefined && { programs: folder }),
  })
  await runManual(t, 'postgresql', run)
  t.not(run.environment.DATABASE_URL, databaseUrl, 'the service uses the restored database')
  const epoch = 'select epoch from feed_state'
  t.strictSame(await execute(databaseUrl, epoch), [{ epoch: 1 }], 'the old one has the first')
  const restored = await execute(run.environment.DATABASE_URL, epoch)
  t.strictSame(restored, [{ epoch: 2 }], 'the feed of the restored database begins a new epoch')
})
