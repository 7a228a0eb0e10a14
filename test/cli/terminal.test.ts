import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { folderOf } from '../service.ts'
import { ENTRY, startOnTerminal } from './pseudo-terminal.ts'

const PACKAGE = new URL('../../package.json', import.meta.url)
const SOURCES = fileURLToPath(new URL('../../src', import.meta.url))

const run = (command: string) =>
  new Promise<string>((done, fail) =>
    execFile('sh', ['-c', command], (error, out) => (error ? fail(error) : done(out))),
  )

t.test('prints a curl command that works', async (t) => {
  const { shown, interrupt, ended } = startOnTerminal(t, `exec node ${ENTRY} serve --dev`, {
    PORT: '0',
  })
  const [, url] = await shown(/INFO: listening on (\S+)\n/)
  await shown(/secret +testsecret, from the development default\n/)
  await shown(new RegExp(`database +${folderOf(t)}/data/app.db\\n`))
  await shown(new RegExp(`documentation +${url}/docs\\n`))
  const [curl = ''] = await shown(/^curl .+$/m)
  t.equal(await run(`${curl} --silent`), '{"status":"ok"}\n')
  await shown(/INFO: POST \/webhook 200 [0-9.]+ ms /)
  interrupt()
  await shown(/INFO: stopped\n/)
  t.equal(await ended, 0)
})

t.test('prints the source of a secret from .env but not the secret', async (t) => {
  writeFileSync(`${folderOf(t)}/.env`, 'WEBHOOK_SECRET=hidden\n')
  const { shown, interrupt } = startOnTerminal(t, `exec node ${ENTRY} serve --dev`, { PORT: '0' })
  await shown(/secret +from \.env\n/)
  const [curl = ''] = await shown(/^curl .+$/m)
  t.notMatch(curl, 'hidden')
  t.equal(await run(`${curl} --silent`), '{"status":"ok"}\n')
  interrupt()
})

t.test('Ctrl-C stops `npm run dev` and frees the port', async (t) => {
  const { scripts }: { scripts: { dev: string } } = JSON.parse(readFileSync(PACKAGE, 'utf8'))
  const { shown, interrupt, ended } = startOnTerminal(
    t,
    `exec ${scripts.dev.replace('bin/lyftr-webhook.js', ENTRY).replace('=src', `=${SOURCES}`)}`,
    { PORT: '0' },
  )
  const [, port] = await shown(/listening on http:\/\/127.0.0.1:(\d+)/)
  interrupt()
  await shown(/SIGINT: stopping\n/)
  await ended
  const server = createServer().listen(Number(port), '127.0.0.1')
  await once(server, 'listening')
  server.close()
})
