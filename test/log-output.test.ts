import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import t from 'tap'

const MODULE = new URL('../src/log-output.ts', import.meta.url).href

/** Runs a program that logs to the given standard output. @returns its output if that is a pipe. */
function run(program: string, output: number | 'pipe'): string {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...['--input-type=module', '--eval'],
      `import { fstatSync } from 'node:fs'
       import { standardOutput } from '${MODULE}'
       const output = standardOutput(() => {})
       const log = (lines) => { while (lines-- > 0) output.write('x'.repeat(199) + '\\n') }
       ${program}`,
    ],
    { stdio: ['ignore', output, 'pipe'], encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`the program ended with ${status}: ${stderr}`)
  return stdout ?? ''
}

t.test('writes all lines to a file before the process exits', async (t) => {
  const path = `${t.testdir()}/log`
  const file = openSync(path, 'w')
  // The first block is still being written when the last lines are logged.
  run('log(500); process.exit(0)', file)
  closeSync(file)
  t.equal(readFileSync(path, 'utf8').split('\n').length - 1, 500)
})

t.test('flush calls its callback once all lines are in the file', async (t) => {
  const file = openSync(`${t.testdir()}/log`, 'w')
  run('log(400); output.flush(() => process.exit(fstatSync(1).size === 400 * 200 ? 0 : 3))', file)
  closeSync(file)
})

t.test('writes all lines to a pipe before the process exits', async (t) => {
  const read = run('log(100); setImmediate(() => { log(50); process.exit(0) })', 'pipe')
  t.equal(read.split('\n').length - 1, 150)
})
