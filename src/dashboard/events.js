/**
 * An event of a stream of server-sent events.
 * @typedef {{ event: string, data: string, id: string | undefined }} StreamEvent
 */

/**
 * Parses server-sent events (HTML standard, section 9.2.6). An event that a stream ends within is dropped.
 * `EventSource` cannot send the token in a header.
 * @param {AsyncIterable<Uint8Array>} stream
 * @returns {AsyncGenerator<StreamEvent>}
 */
export async function* parseEvents(stream) {
  const decoder = new TextDecoder()
  let text = ''
  /** @type {string[]} */
  let data = []
  let event = 'message'
  /** @type {string | undefined} */
  let id
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true })
    // A carriage return at the end may be the first half of a line break.
    const complete = text.endsWith('\r') ? text.slice(0, -1) : text
    const lines = complete.split(/\r\n|\n|\r/)
    text = (lines.pop() ?? '') + text.slice(complete.length)
    for (const line of lines) {
      const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
      if (line === '') {
        if (data.length > 0 || event !== 'message') yield { event, data: data.join('\n'), id }
        data = []
        event = 'message'
      } else if (field === 'data') data.push(value)
      else if (field === 'event') event = value
      else if (field === 'id') id = value
    }
  }
}
