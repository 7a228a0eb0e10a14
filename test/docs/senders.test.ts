import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { OpenAPIV3_1 } from 'openapi-types'
import t, { type Test } from 'tap'
import { folderOf, SECRET, type Service, sign, startService } from '../service.ts'

const document = readFileSync(new URL('../../docs/senders.md', import.meta.url), 'utf8')

/** The programs in the document, by file name. */
const programs = new Map(
  [...document.matchAll(/^```\w+ title="([\w.]+)"\n(.*?)^```$/gms)].map(
    ([, name = '', source = '']) => [name, source],
  ),
)

/** The command that runs each program, and an argument that checks whether the command is installed. */
const RUNNERS: { name: string; id: string; command: string[]; version: string }[] = [
  { name: 'send.mjs', id: 'node', command: [process.execPath], version: '--version' },
  { name: 'send.py', id: 'python', command: ['python3'], version: '--version' },
  { name: 'send.go', id: 'go', command: ['go', 'run'], version: 'version' },
  { name: 'send.php', id: 'php', command: ['php'], version: '--version' },
  { name: 'Send.java', id: 'java', command: ['java'], version: '-version' },
  { name: 'send.sh', id: 'shell', command: ['sh'], version: '-c true' },
]

/** Runs a program until it exits. */
async function run(t: Test, [program = '', ...args]: string[], url: string) {
  const child = spawn(program, args, {
    cwd: folderOf(t),
    env: { ...process.env, WEBHOOK_URL: url, WEBHOOK_SECRET: SECRET },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [status] = await once(child, 'close')
  return { status, stderr }
}

/** Starts a proxy that returns `statuses` to the first requests and forwards the others. */
async function startProxy(t: Test, service: Service, statuses: (number | 'reset')[]) {
  const left = [...statuses]
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    const status = left.shift()
    if (status === 'reset') {
      request.socket.destroy()
    } else if (status) {
      response.writeHead(status, { 'Retry-After': '1' }).end('{"detail":"not now"}')
    } else {
      const headers = new Headers()
      for (const name of ['content-type', 'x-signature']) {
        headers.set(name, String(request.headers[name]))
      }
      const forwarded = await fetch(`${service.url}/webhook`, { method: 'POST', headers, body })
      response.writeHead(forwarded.status).end(await forwarded.text())
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/webhook`, left }
}

t.test('the test vector is correct', async (t) => {
  const [, body = ''] = /^\| Body .*?`(.*)` \|$/m.exec(document) ?? []
  t.match(document, `Body (${Buffer.byteLength(body)} bytes`)
  t.match(document, `sha256=${sign(body, 'testsecret')}`)
})

t.test('the table of responses has every status that OpenAPI describes', async (t) => {
  const service = await startService(t)
  const described = await fetch(`${service.url}/openapi.json`)
  const { paths } = (await described.json()) as OpenAPIV3_1.Document
  const [, table = ''] = /## What each answer means\n(.*?)\n## /s.exec(document) ?? []
  // 431 is for large headers, which senders do not have.
  for (const status of Object.keys(paths?.['/webhook']?.post?.responses ?? {})) {
    if (status !== '431') t.match(table, status)
  }
})

// Compilation takes long on a busy machine.
t.setTimeout(300_000)

t.test('the programs', async (t) => {
  t.same([...programs.keys()].sort(), RUNNERS.map(({ name }) => name).sort())
  const service = await startService(t)
  for (const { name, id, command, version } of RUNNERS) {
    const [interpreter = ''] = command
    const { error } = spawnSync(interpreter, version.split(' '))
    const skip = error !== undefined && `${interpreter} is not installed; install it to run ${name}`
    t.test(
      `${name} stores a message, retries, and gives up when it is rejected`,
      { skip },
      async (t) => {
        const file = `${folderOf(t)}/${name}`
        writeFileSync(file, programs.get(name) ?? '')
        const send = (url: string) => run(t, [...command, file], url)

        const busy = await startProxy(t, service, ['reset', 503, 429])
        const retried = await send(busy.url)
        t.equal(retried.status, 0, retried.stderr)
        t.same(busy.left, [])
        const again = await send(`${service.url}/webhook`)
        t.equal(again.status, 0, again.stderr)
        const stored = await fetch(`${service.url}/messages/hello-from-${id}`)
        t.match(await stored.json(), { text: 'Grüße 👋' })

        const strict = await startProxy(t, service, [422, 422])
        t.not((await send(strict.url)).status, 0)
        t.same(strict.left, [422], 'a rejected message is not sent again')
      },
    )
  }
})
