import fc from 'fast-check'
import t from 'tap'
import { instantKey, isMessageInstant } from '../../src/message/instant.ts'

t.test('accepts timestamps that exist', async (t) => {
  for (const text of [
    '2025-01-15T10:00:00Z',
    '2025-01-15T10:00:00.5Z',
    '2025-01-15T10:00:00.123456789Z',
    '2024-02-29T23:59:59Z',
    '2000-02-29T00:00:00Z',
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59.999999999Z',
  ]) {
    t.ok(isMessageInstant(text), text)
  }
})

t.test('rejects timestamps that are malformed or do not exist', async (t) => {
  for (const text of [
    '',
    '2025-01-15',
    '2025-01-15T10:00:00',
    '2025-01-15T10:00Z',
    '2025-01-15T10:00:00.Z',
    '2025-01-15T10:00:00.1234567890Z',
    '2025-01-15T10:00:00+00:00',
    '2025-01-15t10:00:00Z',
    '2025-01-15T10:00:00z',
    '2025-01-15 10:00:00Z',
    ' 2025-01-15T10:00:00Z',
    '2025-01-15T10:00:00Z\n',
    '2025-02-30T10:00:00Z',
    '2025-02-29T10:00:00Z',
    '1900-02-29T10:00:00Z',
    '2025-04-31T10:00:00Z',
    '2025-00-15T10:00:00Z',
    '2025-13-15T10:00:00Z',
    '2025-01-00T10:00:00Z',
    '2025-01-15T24:00:00Z',
    '2025-01-15T10:60:00Z',
    '2016-12-31T23:59:60Z',
    '٢٠٢٥-01-15T10:00:00Z',
    '12025-01-15T10:00:00Z',
  ]) {
    t.notOk(isMessageInstant(text), JSON.stringify(text))
  }
})

t.test('the order of keys is the order of instants', async (t) => {
  const ordered = ['10:00:00Z', '10:00:00.25Z', '10:00:00.5Z', '10:00:01Z'].map((time) =>
    instantKey(`2025-01-15T${time}`),
  )
  t.same(ordered.toSorted(), ordered)
  t.equal(instantKey('2025-01-15T10:00:00.500Z'), instantKey('2025-01-15T10:00:00.5Z'))
  t.equal(instantKey('2025-01-15T10:00:00.000Z'), instantKey('2025-01-15T10:00:00Z'))
})

t.test('timestamps of the same instant have the same key with any offset', async (t) => {
  const utc = instantKey('2025-01-15T10:00:00.5Z')
  for (const text of [
    '2025-01-15T15:30:00.5+05:30',
    '2025-01-15T15:30:00.50 05:30',
    '2025-01-15T02:00:00.5-08:00',
    '2025-01-15T10:00:00.5-00:00',
    '2025-01-15t10:00:00.5z',
  ]) {
    t.equal(instantKey(text), utc, text)
  }
  t.equal(instantKey('0001-01-01T00:30:00+01:00'), '0000-12-31T23:30:00')
  t.equal(instantKey('0000-01-01T00:30:00+01:00'), undefined, 'before the year 0000')
  t.equal(instantKey('9999-12-31T23:30:00-01:00'), undefined, 'after the year 9999')
  t.equal(instantKey('2025-01-15T10:00:00+24:00'), undefined)
  t.equal(instantKey('2025-01-15T10:00:00+05:60'), undefined)
})

t.test('the keys of any two timestamps compare as their instants', async () => {
  const instant = fc.record({
    ms: fc.integer({ min: Date.UTC(1, 0, 2), max: Date.UTC(9998, 0) }),
    nanos: fc.integer({ min: 0, max: 999_999 }),
    offset: fc.integer({ min: -1439, max: 1439 }),
  })
  const text = ({ ms, nanos, offset }: { ms: number; nanos: number; offset: number }) => {
    const local = new Date(ms + offset * 60_000).toISOString().slice(0, -1)
    const minutes = Math.abs(offset)
    const two = (value: number) => String(value).padStart(2, '0')
    const sign = offset < 0 ? '-' : '+'
    const zone = `${sign}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`
    return `${local}${String(nanos).padStart(6, '0')}${zone}`
  }
  fc.assert(
    fc.property(instant, instant, (a, b) => {
      const byInstant = Math.sign(a.ms - b.ms) || Math.sign(a.nanos - b.nanos)
      const [keyA = '', keyB = ''] = [instantKey(text(a)), instantKey(text(b))]
      return (keyA < keyB ? -1 : keyA > keyB ? 1 : 0) === byInstant
    }),
  )
})
