import { Readable } from 'node:stream'
import t from 'tap'
import { parseEvents } from '../../src/dashboard/events.js'

/** Returns the events of these chunks of a stream. */
async function parse(...chunks: (string | Uint8Array)[]) {
  const encoder = new TextEncoder()
  const bytes = chunks.map((chunk) => (typeof chunk === 'string' ? encoder.encode(chunk) : chunk))
  const events = []
  for await (const event of parseEvents(Readable.from(bytes))) events.push(event)
  return events
}

t.test('parses events however the stream is divided', async (t) => {
  const text =
    ': comment\nretry: 3000\n\nid: 1\ndata: a\ndata:ü\n\nevent: reset\ndata\n\ndata: lost'
  const expected = [
    { event: 'message', data: 'a\nü', id: '1' },
    { event: 'reset', data: '', id: '1' },
  ]
  for (const eol of ['\n', '\r\n', '\r']) {
    const bytes = new TextEncoder().encode(text.replaceAll('\n', eol))
    t.strictSame(await parse(bytes), expected)
    t.strictSame(await parse(...Array.from(bytes, (byte) => Uint8Array.of(byte))), expected)
  }
})
