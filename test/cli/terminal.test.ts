import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import { folderOf } from '../service.ts'

const ENTRY = new URL('../../bin/lyftr-webhook.js', import.meta.url).pathname
const PACKAGE = new URL('../../package.json', import.meta.url)

/** Runs a command on a pseudo-terminal, by script(1) of util-linux. */
function startOnTerminal(t: Test, command: string, environment: Record<string, string>) {
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: folderOf(t),
    env: { PATH: process.env.PATH, TERM: 'xterm', HOST: '127.0.0.1', ...environment },
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += stripVTControlCharacters(more).replaceAll('\r', '')
  })
  const ended = once(child, 'close').then(([code]) => code)
  t.teardown(async () => {
    child.kill()
    await ended
  })
  return {
    /** Waits for a match, and discards the text up to its end. */
    async shown(pattern: RegExp): Promise<string[]> {
      for (;;) {
        const match = pattern.exec(text)
        if (match) {
          text = text.slice(match.index + match[0].length)
          return [...match]
        }
        if (child.stdout.readableEnded) throw new Error(`${pattern} is not in ${text}`)
        await Promise.race([once(child.stdout, 'data'), once(child.stdout, 'end')])
      }
    },
    interrupt: () => child.stdin.write('\x03'),
    ended,
  }
}

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
  const { scripts } = JSON.parse(readFileSync(PACKAGE, 'utf8'))
  const { shown, interrupt, ended } = startOnTerminal(
    t,
    `exec ${String(scripts.dev).replace('bin/lyftr-webhook.js', ENTRY)}`,
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
