import { writeFileSync } from 'node:fs'
import t from 'tap'
import { folderOf, spawnEntry } from '../helper.ts'

async function output(t: Parameters<typeof spawnEntry>[0], args: string[], environment = {}) {
  const { child, stderr, ended } = spawnEntry(t, args, environment)
  let stdout = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  return { status: await ended, stdout, stderr: stderr() }
}

t.test('tells how it is used', async (t) => {
  for (const args of [['--help'], ['-h'], ['serve', '--help']]) {
    const { status, stdout } = await output(t, args)
    t.equal(status, 0)
    t.match(stdout, /usage: lyftr-webhook/)
    t.match(stdout, /serve/)
  }
  t.match(await output(t, ['--version']), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
})

t.test('refuses what it does not know in one line', async (t) => {
  for (const args of [['fly'], ['serve', '--loud'], ['serve', 'twice']]) {
    const { status, stderr } = await output(t, args)
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
  const { status, stdout, stderr } = await output(t, [], { NODE_OPTIONS: `--require ${old}` })
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(stderr, /^lyftr-webhook: Node.js 22.19 or later is needed, this is 20.20.2[^\n]*\n$/)
})
