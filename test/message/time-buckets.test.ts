import t from 'tap'
import { bucketStarts, isTimeZone, MAX_BUCKETS } from '../../src/message/time-buckets.ts'

const BERLIN = 'Europe/Berlin'

t.test('days have 23 or 25 hours when the clock changes', async (t) => {
  t.strictSame(
    bucketStarts('day', BERLIN, { since: '2025-03-29T10:00:00', until: '2025-04-01T00:00:00' }),
    ['2025-03-28T23:00:00', '2025-03-29T23:00:00', '2025-03-30T22:00:00', '2025-03-31T22:00:00'],
  )
  t.strictSame(
    bucketStarts('day', BERLIN, { since: '2025-10-25T22:00:00', until: '2025-10-27T23:00:00' }),
    ['2025-10-25T22:00:00', '2025-10-26T23:00:00'],
  )
})

t.test('a repeated hour is a bucket of its own, and a skipped one is none', async (t) => {
  t.strictSame(
    bucketStarts('hour', BERLIN, { since: '2025-10-26T00:00:00', until: '2025-10-26T02:00:00' }),
    ['2025-10-26T00:00:00', '2025-10-26T01:00:00'],
  )
  t.strictSame(
    bucketStarts('hour', BERLIN, { since: '2025-03-30T00:30:00', until: '2025-03-30T02:00:00' }),
    ['2025-03-30T00:00:00', '2025-03-30T01:00:00'],
  )
})

t.test('hours and days of zones whose offset is not a whole hour', async (t) => {
  t.strictSame(
    bucketStarts('day', 'Asia/Kolkata', {
      since: '2025-01-15T00:00:00',
      until: '2025-01-16T18:30:00',
    }),
    ['2025-01-14T18:30:00', '2025-01-15T18:30:00'],
  )
  t.strictSame(
    bucketStarts('hour', 'Asia/Kathmandu', {
      since: '2025-01-15T00:00:00',
      until: '2025-01-15T02:00:00',
    }),
    ['2025-01-14T23:15:00', '2025-01-15T00:15:00', '2025-01-15T01:15:00'],
  )
})

t.test('hours are cut when the clock changes by half an hour', async (t) => {
  const zone = 'Australia/Lord_Howe'
  t.strictSame(
    bucketStarts('hour', zone, { since: '2025-04-05T14:00:00', until: '2025-04-05T17:00:00' }),
    ['2025-04-05T14:00:00', '2025-04-05T15:00:00', '2025-04-05T15:30:00', '2025-04-05T16:30:00'],
  )
  t.strictSame(
    bucketStarts('hour', zone, { since: '2025-10-04T15:00:00', until: '2025-10-04T17:00:00' }),
    ['2025-10-04T14:30:00', '2025-10-04T15:30:00', '2025-10-04T16:00:00'],
  )
})

t.test('a day begins at the first instant of its date', async (t) => {
  // The clock went back from 00:01 to 23:01, and so passed midnight twice.
  t.strictSame(
    bucketStarts('day', 'America/St_Johns', {
      since: '2006-10-28T10:00:00',
      until: '2006-10-31T00:00:00',
    }),
    ['2006-10-28T02:30:00', '2006-10-29T02:30:00', '2006-10-30T03:30:00'],
  )
  // Midnight was skipped.
  t.strictSame(
    bucketStarts('day', 'America/Sao_Paulo', {
      since: '2018-11-03T03:00:00',
      until: '2018-11-05T03:00:00',
    }),
    ['2018-11-03T03:00:00', '2018-11-04T03:00:00', '2018-11-05T02:00:00'],
  )
  // December 30 was skipped.
  t.strictSame(
    bucketStarts('day', 'Pacific/Apia', {
      since: '2011-12-29T10:00:00',
      until: '2012-01-01T10:00:00',
    }),
    ['2011-12-29T10:00:00', '2011-12-30T10:00:00', '2011-12-31T10:00:00'],
  )
})

t.test('offsets of the 19th century have seconds', async (t) => {
  t.strictSame(
    bucketStarts('day', 'America/St_Johns', {
      since: '1880-01-01T12:00:00',
      until: '1880-01-02T12:00:00',
    }),
    ['1880-01-01T03:30:52', '1880-01-02T03:30:52'],
  )
})

t.test('covers the first and the last second, with and without a fraction', async (t) => {
  const until = '2025-01-01T00:02:00'
  t.strictSame(bucketStarts('minute', 'UTC', { since: '2025-01-01T00:00:30.5', until }), [
    '2025-01-01T00:00:00',
    '2025-01-01T00:01:00',
  ])
  t.strictSame(
    bucketStarts('minute', 'UTC', { since: '2025-01-01T00:01:00', until: `${until}.000000001` }),
    ['2025-01-01T00:01:00', '2025-01-01T00:02:00'],
  )
  t.strictSame(
    bucketStarts('day', 'Asia/Kolkata', {
      since: '0000-01-01T00:00:00',
      until: '0000-01-01T00:00:01',
    }),
    ['0000-01-01T00:00:00'],
  )
  t.equal(
    bucketStarts('day', 'Asia/Kolkata', {
      since: '9999-12-30T00:00:00',
      until: '9999-12-31T23:59:59.999',
    })?.length,
    3,
  )
})

t.test('limits the number of buckets', async (t) => {
  const since = '2025-01-01T00:00:00'
  const full = { since, until: '2025-01-02T01:00:00' }
  t.equal(bucketStarts('minute', 'UTC', full)?.length, MAX_BUCKETS)
  t.equal(bucketStarts('minute', 'UTC', { since, until: `${full.until}.1` }), undefined)
  t.equal(bucketStarts('hour', BERLIN, { since, until: '9999-12-31T23:59:59' }), undefined)
})

t.test('recognizes time zones', async (t) => {
  for (const name of ['UTC', 'Europe/Berlin', 'Asia/Kolkata']) t.ok(isTimeZone(name))
  for (const name of ['', 'Mars/Olympus', 'Europe/Berlin\0', 'x'.repeat(64)])
    t.notOk(isTimeZone(name))
})
