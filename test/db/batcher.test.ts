import t from 'tap'
import { Batcher } from '../../src/db/batcher.ts'

/** A commit that ends when the test says so. */
function controlled() {
  const batches: { items: number[]; settle: (outcomes: Promise<string[]>) => void }[] = []
  const commit = (items: number[]) =>
    new Promise<string[]>((resolve) => {
      batches.push({ items, settle: resolve })
    })
  const done = (index: number) => {
    const batch = batches[index]
    batch?.settle(Promise.resolve(batch.items.map((item) => `stored ${item}`)))
  }
  return { batches, commit, done }
}

t.test('a lone item is committed at once', async (t) => {
  const { batches, commit, done } = controlled()
  const group = new Batcher(commit, { concurrency: 1, maxBatch: 10 })
  const outcome = group.append(1)
  t.equal(batches.length, 1)
  done(0)
  t.equal(await outcome, 'stored 1')
})

t.test('what arrives during a commit shares the next one, in order', async (t) => {
  const { batches, commit, done } = controlled()
  const group = new Batcher(commit, { concurrency: 1, maxBatch: 3 })
  const outcomes = [1, 2, 3, 4, 5].map((item) => group.append(item))
  t.same(
    batches.map(({ items }) => items),
    [[1]],
  )
  done(0)
  t.equal(await outcomes[0], 'stored 1')
  t.same(batches[1]?.items, [2, 3, 4], 'no more than the largest batch')
  done(1)
  t.equal(await outcomes[3], 'stored 4')
  t.same(batches[2]?.items, [5])
  done(2)
  t.equal(await outcomes[4], 'stored 5')
})

t.test('as many commits as allowed are under way', async (t) => {
  const { batches, commit } = controlled()
  const group = new Batcher(commit, { concurrency: 2, maxBatch: 10 })
  for (const item of [1, 2, 3]) void group.append(item)
  t.same(
    batches.map(({ items }) => items),
    [[1], [2]],
  )
})

t.test('beside another goes only what is worth it', async (t) => {
  const { batches, commit, done } = controlled()
  const group = new Batcher(commit, { concurrency: 2, maxBatch: 10, minConcurrentBatch: 3 })
  const outcomes = [1, 2, 3].map((item) => group.append(item))
  t.equal(batches.length, 1, 'two wait')
  outcomes.push(group.append(4))
  t.same(batches[1]?.items, [2, 3, 4])
  outcomes.push(group.append(5))
  done(1)
  t.equal(await outcomes[3], 'stored 4')
  t.equal(batches.length, 2, 'one waits, as another is under way')
  done(0)
  t.equal(await outcomes[0], 'stored 1')
  t.same(batches[2]?.items, [5])
})

t.test('a failed commit fails its own items and no other', async (t) => {
  const { batches, commit, done } = controlled()
  const group = new Batcher(commit, { concurrency: 1, maxBatch: 10 })
  const first = group.append(1)
  const second = group.append(2)
  batches[0]?.settle(Promise.reject(new Error('disk full')))
  await t.rejects(first, { message: 'disk full' })
  done(1)
  t.equal(await second, 'stored 2')
})

t.test('an item without an outcome is not taken for stored', async (t) => {
  const group = new Batcher(async () => [], { concurrency: 1, maxBatch: 10 })
  await t.rejects(group.append(1))
})
