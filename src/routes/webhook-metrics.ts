import client from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import type { AppendOutcome } from '../db/message-store.ts'
import type { Received, Receiver } from '../sources/source.ts'

/** Results of posts; `aborted` if the body did not arrive completely. */
const RESULTS = [
  'created',
  'duplicate',
  'invalid_signature',
  'validation_error',
  'aborted',
  'error',
] as const

/**
 * Result of a post.
 * It is `created` if the post contained a new message, `duplicate` if it was accepted without one.
 */
export type WebhookResult = (typeof RESULTS)[number]

/** Records the metrics of a post whose messages are stored. */
export type Measure = (received: Received, outcomes: readonly AppendOutcome[]) => void

/** Buckets of delivery delays, in seconds. */
const DELAY_BUCKETS = [0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400]

/** Maximum recorded delay, in seconds, so that one implausible `ts` does not dominate the sum. */
const MAX_DELAY_S = 7 * 86_400

/** Registers the counters of results, in total and by source. */
function countResults(
  { registry, requestTracker }: FastifyInstance,
  receivers: readonly Receiver[],
): void {
  const registers = [registry]
  const requests = new client.Counter({
    name: 'webhook_requests_total',
    help: 'Total webhook requests of all sources by result.',
    labelNames: ['result'],
    registers,
  })
  const bySource = new client.Counter({
    name: 'webhook_source_requests_total',
    help: 'Total webhook requests by source and result.',
    labelNames: ['source', 'result'],
    registers,
  })
  const totals = new Map(RESULTS.map((result) => [result, requests.labels(result)]))
  for (const total of totals.values()) total.inc(0)
  const byPath = new Map(
    receivers.map(({ path, source }) => {
      const counters = RESULTS.map((result) => [result, bySource.labels(source, result)] as const)
      for (const [, counter] of counters) counter.inc(0)
      return [path, new Map(counters)]
    }),
  )
  requestTracker.onCompleted(({ route = '', logFields: { result } }) => {
    if (!result) return
    totals.get(result)?.inc()
    byPath.get(route)?.get(result)?.inc()
  })
}

/** Registers the metrics of posts. @returns a function that creates the `Measure` of a receiver. */
export function registerMetrics(
  app: FastifyInstance,
  receivers: readonly Receiver[],
): (receiver: Receiver) => Measure {
  countResults(app, receivers)
  const registers = [app.registry]
  const conflicts = new client.Counter({
    name: 'webhook_conflicting_duplicates_total',
    help: 'Duplicates whose content differs from the stored message, which stays unchanged.',
    registers,
  })
  const delays = new client.Histogram({
    name: 'webhook_delivery_delay_seconds',
    help: 'Time from the ts of a new message until it is stored, 0 if ts is in the future, at most 7 days.',
    buckets: DELAY_BUCKETS,
    registers,
  })
  const notStored = new client.Counter({
    name: 'webhook_items_not_stored_total',
    help: 'Items of accepted posts that are not stored, by source and kind, such as delivery receipts.',
    labelNames: ['source', 'kind'],
    registers,
  })
  return ({ source, notStoredKinds = [] }) => {
    for (const kind of notStoredKinds) notStored.inc({ source, kind }, 0)
    return (received, outcomes) => {
      const now = Date.now()
      received.messages.forEach(({ ts }, index) => {
        if (outcomes[index] === 'conflict') conflicts.inc()
        if (outcomes[index] !== 'created') return
        const delay = (now - Date.parse(ts)) / 1000
        delays.observe(Math.min(Math.max(delay, 0), MAX_DELAY_S))
      })
      for (const [kind, count] of Object.entries(received.notStored ?? {})) {
        notStored.inc({ source, kind }, count)
      }
    }
  }
}
