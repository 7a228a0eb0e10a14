import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { loadConfig } from '../config.ts'
import type { SignedPost } from '../sources/source.ts'
import { configuredOrigin } from './origin.ts'
import { ProgressBar } from './progress.ts'
import { signSample } from './sample.ts'
import { parseSendOptions, type SendOptions, type SendPlan } from './send-options.ts'
import { CONNECTIONS, type PostResponse, sendPost, UnreachableError } from './send-request.ts'
import { SendSummary } from './send-summary.ts'

/** Maximum retries of a message. */
const MAX_RETRIES = 5

/** Maximum milliseconds of delay that sending catches up with; bounds the burst after a pause. */
const MAX_LAG_MS = 100

/** Exit status after SIGINT: 128 plus the number of the signal, as in shells. */
const INTERRUPTED = 130

/** Spreads messages evenly over time. */
class Pacer {
  readonly #intervalMs: number
  #next = performance.now()

  /** @param rate messages per second. */
  constructor(rate: number) {
    this.#intervalMs = 1000 / rate
  }

  /** Resolves when the next message is due. */
  async wait(): Promise<void> {
    const now = performance.now()
    const due = Math.max(this.#next, now - MAX_LAG_MS)
    this.#next = due + this.#intervalMs
    // A timer takes at least 1 ms; rates above 1000 per second need shorter pauses on average.
    if (due - now >= 1) await delay(due - now)
  }
}

/**
 * Sends a post, and returns the last response.
 * Retries after `Retry-After`, or if the connection was closed without a response.
 * @throws UnreachableError
 */
async function deliver(
  origin: string,
  post: SignedPost,
  summary: SendSummary,
): Promise<PostResponse> {
  for (let retries = 0; ; retries++) {
    let retryAfterMs: number | undefined
    try {
      const response = await sendPost(origin, post)
      summary.addResponse(response.status, response.ms)
      retryAfterMs = response.retryAfterMs
      if (retryAfterMs === undefined || retries === MAX_RETRIES) return response
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error
      retryAfterMs = error.retryAfterMs
      if (retryAfterMs === undefined || retries === MAX_RETRIES) throw error
    }
    await delay(retryAfterMs)
    summary.retries++
  }
}

/** Sends all messages over several connections. @throws UnreachableError */
async function sendAll(
  origin: string,
  sign: (number: number) => SignedPost,
  { count, rate }: SendPlan,
  summary: SendSummary,
  bar: ProgressBar,
): Promise<void> {
  const pacer = rate === undefined ? undefined : new Pacer(rate)
  let started = 0
  const sendInSequence = async () => {
    while (started < count) {
      const number = ++started
      await pacer?.wait()
      const { status } = await deliver(origin, sign(number), summary)
      summary.addMessage(status)
      bar.update(summary.sent, count)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, sendInSequence))
}

/** Sends all messages, or sends until SIGINT, and prints a summary. @returns the exit status. */
async function sendMany(
  origin: string,
  sign: (number: number) => SignedPost,
  plan: SendPlan,
): Promise<number> {
  const bar = new ProgressBar('sending', 'messages')
  const summary = new SendSummary()
  const interrupted = once(process, 'SIGINT').then(() => INTERRUPTED)
  const finished = sendAll(origin, sign, plan, summary, bar).then(() =>
    summary.accepted === plan.count ? 0 : 1,
  )
  let failed = false
  try {
    return await Promise.race([finished, interrupted])
  } catch (error) {
    failed = true
    throw error
  } finally {
    bar.end()
    // If the service was never reached, a summary adds nothing to the error.
    if (!failed || summary.sent > 0) process.stdout.write(String(summary))
  }
}

/** Sends one message, and prints the response. @returns the exit status. */
async function sendOne(origin: string, post: SignedPost): Promise<number> {
  const { status, body } = await sendPost(origin, post)
  process.stdout.write(`POST ${post.path} ${status}\n${body.trimEnd()}\n`)
  return status === 200 ? 0 : 1
}

/**
 * Sends signed test messages.
 * @returns the exit status, 0 if every message got 200.
 * @throws Error if an option is invalid, the source is not configured, or the service cannot be reached.
 */
export async function run(options: SendOptions): Promise<number> {
  const plan = parseSendOptions(options)
  const { source, count, from, to, text } = plan
  const config = loadConfig({ development: options.dev ?? false })
  const origin = plan.origin ?? configuredOrigin(config)
  const id = plan.id ?? `test-${randomBytes(6).toString('hex')}`
  const sign = (messageId: string) =>
    signSample(config, source, { id: messageId, from, to, text, sentAt: new Date() })
  if (count === 1) return sendOne(origin, sign(id))
  // Reports a source that is not configured before the progress bar and the summary.
  sign(id)
  return sendMany(origin, (number) => sign(`${id}-${number}`), plan)
}
