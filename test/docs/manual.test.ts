import { readdirSync } from 'node:fs'
import t from 'tap'
import { blocks, CHECKS, runManual } from './manual.ts'
import { ManualRun } from './manual-run.ts'

t.setTimeout(300_000)

t.test('every check is of a command in the manual', async (t) => {
  for (const command of Object.keys(CHECKS)) {
    t.ok(
      blocks.some(({ script }) => script.includes(command)),
      command,
    )
  }
})

t.test('the commands of the manual on SQLite', async (t) => {
  const run = await ManualRun.start(t, { databaseUrl: 'sqlite:///app.db' })
  await runManual(t, 'sqlite', run)
  const left = readdirSync(run.folder).filter((name) => name.startsWith('drill'))
  t.strictSame(left, [], 'the drill leaves nothing')
})
