import { type IncomingMessage, request } from 'node:http'
import type { Test } from 'tap'

/** Opens a streamed response, which is closed after the test. `fetch` would read it to its end. */
export function openStream(
  t: Test,
  url: string,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false }, (response) => {
      // The end of the test breaks the connection.
      response.on('error', () => {})
      resolve(response)
    }).on('error', reject)
    t.teardown(() => sent.destroy())
    sent.end()
  })
}

/** An event of a stream of server-sent events. */
export interface ServerSentEvent {
  id?: string
  event?: string
  data?: string
}

/** Yields the lines of a response. */
export async function* linesOf(response: IncomingMessage): AsyncGenerator<string, void> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = (text + chunk).split('\n')
    text = lines.pop() ?? ''
    yield* lines
  }
}

/** Yields the events of a stream, including those without data, but no comments. */
export async function* eventsOf(response: IncomingMessage): AsyncGenerator<ServerSentEvent, void> {
  let event: ServerSentEvent = {}
  for await (const line of linesOf(response)) {
    const [, field, value] = /^(id|event|data): ?(.*)$/.exec(line) ?? []
    if (field) event = { ...event, [field]: value }
    if (line !== '') continue
    if (Object.keys(event).length > 0) yield event
    event = {}
  }
}

/** Returns the next events of a stream that have data. */
export async function take(
  events: AsyncGenerator<ServerSentEvent, void>,
  count: number,
): Promise<ServerSentEvent[]> {
  const taken: ServerSentEvent[] = []
  while (taken.length < count) {
    const { value, done } = await events.next()
    if (done) throw new Error(`the stream ended after ${taken.length} events`)
    if (value.data !== undefined) taken.push(value)
  }
  return taken
}
