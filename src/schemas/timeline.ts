import { type Static, Type } from '@sinclair/typebox'
import { instantKey } from '../message/instant.ts'
import { BUCKET_SIZES, type BucketSize } from '../message/time-buckets.ts'
import { ref } from './component.ts'
import { filterProperties } from './messages.ts'

const MINUTE_MS = 60_000

/** Milliseconds between the default of `since` and `until`, by the size of the buckets. */
const DEFAULT_SPAN_MS: Record<BucketSize, number> = {
  minute: 60 * MINUTE_MS,
  hour: 48 * 60 * MINUTE_MS,
  day: 30 * 24 * 60 * MINUTE_MS,
}

const EARLIEST_KEY = '0000-01-01T00:00:00'

/** Query parameters of `GET /stats/timeline`. */
export const TimelineQuery = Type.Object({
  since: Type.Optional({
    ...filterProperties.since,
    description:
      'Messages at this instant or later: RFC 3339, with `Z` or an offset. Default: 60 minutes, 48 hours or 30 days before `until`, by `bucket`.',
  }),
  until: Type.Optional({
    ...filterProperties.until,
    description:
      'Messages before this instant: RFC 3339, with `Z` or an offset. Default: the present.',
  }),
  bucket: Type.Optional(
    Type.Unsafe<BucketSize>({
      type: 'string',
      enum: BUCKET_SIZES,
      default: 'hour',
      description:
        'Length of a bucket. Hours and days are those of `tz`: a day may have 23 or 25 hours, an hour in which the clock changes may be shorter, and an hour that is repeated is two buckets. Minutes are those of UTC.',
      'x-expected': 'bucket must be minute, hour or day',
    }),
  ),
  tz: Type.Optional(
    Type.String({
      description: 'IANA time zone of hours and days.',
      default: 'UTC',
      maxLength: 64,
      format: 'time-zone',
      'x-expected': 'tz must be an IANA time zone, such as Europe/Berlin',
      examples: ['Europe/Berlin'],
    }),
  ),
  from: filterProperties.from,
})

/** The number of messages in one bucket. */
export const TimelineBucket = Type.Object(
  {
    start: Type.String({
      description:
        'Start of the bucket, UTC. The first bucket may start before `since`; only messages from `since` on are counted.',
    }),
    count: Type.Integer(),
  },
  { $id: 'TimelineBucket', title: 'TimelineBucket' },
)

/** The numbers of messages between two instants, by bucket. */
export const Timeline = Type.Object(
  {
    bucket: Type.Unsafe<BucketSize>({ type: 'string', enum: BUCKET_SIZES }),
    tz: Type.String({ description: 'The time zone that was applied.' }),
    since: Type.String({ description: 'The first instant, inclusive, UTC.' }),
    until: Type.String({ description: 'The last instant, exclusive, UTC.' }),
    data: Type.Array(ref(TimelineBucket), {
      description: 'All buckets between `since` and `until` in order, empty ones included.',
    }),
  },
  {
    $id: 'Timeline',
    title: 'Timeline',
    description: 'The numbers of messages between two instants, by bucket.',
    examples: [
      {
        bucket: 'day',
        tz: 'UTC',
        since: '2025-01-15T00:00:00Z',
        until: '2025-01-17T00:00:00Z',
        data: [
          { start: '2025-01-15T00:00:00Z', count: 3 },
          { start: '2025-01-16T00:00:00Z', count: 0 },
        ],
      },
    ],
  },
)

function keyOfTime(instant: number): string {
  return instantKey(new Date(instant).toISOString()) ?? EARLIEST_KEY
}

/** Returns the range of sort keys of these parameters, with the defaults of absent bounds. */
export function readRange({ since, until, bucket = 'hour' }: Static<typeof TimelineQuery>) {
  const end = (until && instantKey(until)) ?? keyOfTime(Date.now())
  const start = since && instantKey(since)
  return {
    since: start ?? keyOfTime(Date.parse(`${end}Z`) - DEFAULT_SPAN_MS[bucket]),
    until: end,
  }
}
