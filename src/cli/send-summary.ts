import { createHistogram } from 'node:perf_hooks'

/** Counts of the responses to test messages, and their response times. */
export class SendSummary {
  /** Messages with a final response, of any status. */
  sent = 0
  /** Messages whose final response is 200. */
  accepted = 0
  retries = 0
  readonly #start = performance.now()
  readonly #statuses = new Map<number, number>()
  /** Response times in microseconds; the size of a histogram does not grow. */
  readonly #times = createHistogram()

  /** Counts a response. @param ms its response time. */
  addResponse(status: number, ms: number): void {
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1)
    this.#times.record(Math.max(1, Math.round(ms * 1000)))
  }

  /** Counts a message whose last response has this status. */
  addMessage(status: number): void {
    this.sent++
    if (status === 200) this.accepted++
  }

  /** Returns the counts as lines. */
  toString(): string {
    const seconds = (performance.now() - this.#start) / 1000
    const perSecond = (this.sent / seconds).toFixed(1)
    const messages = this.sent === 1 ? 'message' : 'messages'
    const lines = [
      `sent ${this.sent} ${messages} in ${seconds.toFixed(1)} s: ${perSecond} messages/s`,
    ]
    if (this.#statuses.size > 0) {
      const statuses = [...this.#statuses].sort(([one], [other]) => one - other)
      const counts = statuses.map(([status, count]) => `${status}: ${count}`).join(', ')
      lines.push(`responses: ${counts}; retries: ${this.retries}`)
      const times = [50, 95, 99].map((p) => `p${p} ${this.#milliseconds(p)} ms`)
      lines.push(`response time: ${times.join(', ')}`)
    }
    return `${lines.join('\n')}\n`
  }

  #milliseconds(percentile: number): string {
    return (this.#times.percentile(percentile) / 1000).toFixed(1)
  }
}
