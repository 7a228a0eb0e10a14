import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { joinChunks } from '../../src/sources/join-chunks.ts'
import { sign, startService, wire } from '../service.ts'

t.test('joins small chunks, and keeps the bytes and their order', async (t) => {
  const chunks = Array.from({ length: 50_000 }, (_, at) => Buffer.from([at % 251]))
  chunks.splice(20_000, 0, Buffer.alloc(100_000, 'large'))
  const body = new PassThrough()
  const joined = joinChunks(body)
  for (const chunk of chunks) body.write(chunk)
  body.end()
  const received: Buffer[] = []
  for await (const chunk of joined) received.push(chunk)
  t.ok(Buffer.concat(received).equals(Buffer.concat(chunks)))
  t.ok(received.length < 20, `${received.length} chunks`)
})

t.test('fails if the body does', async (t) => {
  const body = new PassThrough()
  const joined = joinChunks(body)
  body.write('x')
  body.destroy(new Error('closed'))
  await t.rejects(joined.toArray(), { message: 'closed' })
})

t.test('a post in chunks of one byte takes little memory until it is complete', async (t) => {
  const { url } = await startService(t)
  const memory = async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text()
    return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1])
  }
  const before = await memory()
  const body = wire({ message_id: 'm' }).padEnd(60_000)
  const head = `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nTransfer-Encoding: chunked\r\n\r\n`
  const sockets = Array.from({ length: 16 }, () => connect(Number(new URL(url).port), '127.0.0.1'))
  for (const socket of sockets) {
    t.teardown(() => socket.destroy())
    socket.write(head + Array.from(body, (byte) => `1\r\n${byte}\r\n`).join(''))
  }
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const grown = (await memory()) - before
  t.ok(grown < 128 * 1024 * 1024, `${grown} bytes`)
  for (const socket of sockets) {
    const answer = new Promise((resolve) => socket.once('data', resolve))
    socket.write('0\r\n\r\n')
    t.match(String(await answer), /^HTTP\/1.1 200 /)
  }
})
