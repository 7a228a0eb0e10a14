import { writeFileSync } from 'node:fs'
import t from 'tap'
import { folderOf, runEntry } from '../helper.ts'

const COMMANDS = ['serve', 'import', 'export', 'verify']

t.test('tells how it is used', async (t) => {
  for (const args of [['--help'], ['-h']]) {
    const { status, stdout } = await runEntry(t, args)
    t.equal(status, 0)
    t.match(stdout, /usage: lyftr-webhook/)
    for (const command of COMMANDS) t.match(stdout, command)
  }
  for (const command of COMMANDS) {
    const { status, stdout } = await runEntry(t, [command, '--help'])
    t.equal(status, 0)
    t.match(stdout, `usage: lyftr-webhook ${command} `)
  }
  t.match(await runEntry(t, ['--version']), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
})

t.test('refuses what it does not know in one line', async (t) => {
  for (const args of [['fly'], ['toString'], ['serve', '--loud'], ['serve', 'twice']]) {
    const { status, stderr } = await runEntry(t, args)
    t.equal(status, 1)
    t.match(stderr, /^lyftr-webhook: [^\n]+\n$/)
  }
})

t.test('an old Node gets one clear line', async (t) => {
  const old = `${folderOf(t)}/old-node.cjs`
  writeFileSync(
    old,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`,
  )
  const { status, stdout, stderr } = await runEntry(t, [], { NODE_OPTIONS: `--require ${old}` })
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(stderr, /^lyftr-webhook: Node.js 22.19 or later is needed, this is 20.20.2[^\n]*\n$/)
})
