import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { bucketStarts, MAX_BUCKETS } from '../message/time-buckets.ts'
import { InvalidInputError } from '../plugins/errors.ts'
import { jsonResponse } from '../schemas/component.ts'
import { readFilter } from '../schemas/messages.ts'
import { inputProblems, readFailures } from '../schemas/problem.ts'
import { Stats } from '../schemas/stats.ts'
import { readRange, Timeline, TimelineQuery } from '../schemas/timeline.ts'

const TOO_MANY_BUCKETS = `there are more than ${MAX_BUCKETS} buckets; use a later since, an earlier until or larger buckets`

/** Schema of `GET /stats`. */
const STATS_SCHEMA = {
  tags: ['messages'],
  operationId: 'getStats',
  summary: 'Count messages and senders',
  response: {
    200: jsonResponse(Stats),
    ...readFailures,
  },
}

/** Schema of `GET /stats/timeline`. */
const TIMELINE_SCHEMA = {
  tags: ['messages'],
  operationId: 'getTimeline',
  summary: 'Count messages by minute, hour or day',
  querystring: TimelineQuery,
  response: {
    200: jsonResponse(Timeline),
    422: inputProblems({
      loc: ['query', 'since'],
      msg: TOO_MANY_BUCKETS,
      type: 'value_error',
    }),
    ...readFailures,
  },
}

/** Serves statistics of all messages, and numbers of messages over time. */
const stats: FastifyPluginAsyncTypebox<{ readTimeoutMs: number }> = async (
  app,
  { readTimeoutMs },
) => {
  app.get(
    '/stats',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: STATS_SCHEMA,
    },
    (request) => app.store.stats(request.signal),
  )

  app.get(
    '/stats/timeline',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: TIMELINE_SCHEMA,
    },
    async ({ query, signal }) => {
      const { bucket = 'hour', tz = 'UTC' } = query
      const { since, until } = readRange(query)
      const invalid = (msg: string) => new InvalidInputError(['query', 'since'], msg, 'value_error')
      if (since >= until) throw invalid('since must be before until')
      const starts = bucketStarts(bucket, tz, { since, until })
      if (!starts) throw invalid(TOO_MANY_BUCKETS)
      const { from } = readFilter(query.from === undefined ? {} : { from: query.from })
      const boundaries = [since, ...starts.slice(1), until]
      const counts = await app.store.timeline({ boundaries, from }, signal)
      const data = starts.map((start, index) => ({ start: `${start}Z`, count: counts[index] ?? 0 }))
      return { bucket, tz, since: `${since}Z`, until: `${until}Z`, data }
    },
  )
}

export default stats
