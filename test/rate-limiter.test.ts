import t from 'tap'
import { RateLimiter } from '../src/rate-limiter.ts'

t.test('returns the seconds until the window ends once the maximum is exceeded', async (t) => {
  const limiter = new RateLimiter(2, { windowMs: 60_000, maxKeys: 10 })
  const counts = [0, 100, 200, 30_000, 59_999].map((now) => limiter.count('a', now))
  t.strictSame(counts, [undefined, undefined, 60, 30, 1])
  t.equal(limiter.count('b', 59_999), undefined, 'each key has its own count')
  t.equal(limiter.count('a', 60_000), undefined, 'a new window')
})

t.test('replaces the least recently counted key when there are too many', async (t) => {
  const limiter = new RateLimiter(1, { windowMs: 60_000, maxKeys: 2 })
  for (const key of ['a', 'b', 'a', 'c']) limiter.count(key, 0)
  t.equal(limiter.count('a', 0), 60)
  t.equal(limiter.count('b', 0), undefined)
  t.equal(limiter.count('c', 0), undefined, 'b has replaced it')
})
