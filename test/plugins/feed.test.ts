import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import t, { type Test } from 'tap'
import { Scrape } from '../scrape.ts'
import { startService } from '../service.ts'

/** Opens a stream of the feed, and resolves with its response. */
async function openStream(t: Test, url: string): Promise<IncomingMessage> {
  const outgoing = get(`${url}/feed`, { headers: { accept: 'text/event-stream' } })
  outgoing.on('error', () => undefined)
  t.teardown(() => outgoing.destroy())
  const [response] = await once(outgoing, 'response')
  return response
}

t.test('streams above MAX_STREAMS get 503, also by long polling', async (t) => {
  const { url } = await startService(t, { MAX_STREAMS: '2' })
  const streams = [await openStream(t, url), await openStream(t, url)]
  t.strictSame(
    streams.map(({ statusCode }) => statusCode),
    [200, 200],
  )
  const { statusCode, headers } = await openStream(t, url)
  t.match({ statusCode, headers }, { statusCode: 503, headers: { 'retry-after': '1' } })
  t.equal((await fetch(`${url}/feed?wait=1`)).status, 503)
  t.equal((await fetch(`${url}/feed`)).status, 200, 'a page without waiting is served')

  streams[0]?.destroy()
  while ((await openStream(t, url)).statusCode !== 200);
  t.pass('another stream is served when one has ended')
})

t.test('SIGTERM ends idle streams, and the process exits with status 0', async (t) => {
  const service = await startService(t)
  const { url, process, ended } = service
  const streams = [await openStream(t, url), await openStream(t, url)]
  const waiting = fetch(`${url}/feed?wait=30`)
  while ((await Scrape.of(service)).sum('http_requests_in_flight', 'stream') < 3);
  const texts = streams.map((stream) => stream.setEncoding('utf8').toArray())
  process.kill('SIGTERM')
  for (const text of await Promise.all(texts)) {
    t.match(text.join(''), /^retry: \d+\n\n/, 'the stream ends as a complete response')
  }
  t.equal((await waiting).status, 200, 'long polling is answered')
  t.equal(await ended, 0)
})
