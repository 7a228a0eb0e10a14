import t from 'tap'
import { Batcher } from '../../src/db/batcher.ts'

/** Returns a commit function whose batches the test settles. */
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

t.test('commits a lone item at once', async (t) => {
  const { batches, commit, done } = controlled()
  const batcher = new Batcher(commit, { concurrency: 1, minConcurrentBatch: 1, maxBatch: 10 })
  const outcome = batcher.append([1])
  t.equal(batches.length, 1)
  done(0)
  t.same(await outcome, ['stored 1'])
})

t.test('commits items that arrive during a commit together, in order', async (t) => {
  const { batches, commit, done } = controlled()
  const batcher = new Batcher(commit, { concurrency: 1, minConcurrentBatch: 1, maxBatch: 3 })
  const outcomes = [1, 2, 3, 4, 5].map((item) => batcher.append([item]))
  t.same(
    batches.map(({ items }) => items),
    [[1]],
  )
  done(0)
  t.same(await outcomes[0], ['stored 1'])
  t.same(batches[1]?.items, [2, 3, 4], 'at most maxBatch items')
  done(1)
  t.same(await outcomes[3], ['stored 4'])
  t.same(batches[2]?.items, [5])
  done(2)
  t.same(await outcomes[4], ['stored 5'])
})

t.test('runs as many commits as allowed concurrently', async (t) => {
  const { batches, commit } = controlled()
  const batcher = new Batcher(commit, { concurrency: 2, minConcurrentBatch: 1, maxBatch: 10 })
  for (const item of [1, 2, 3]) void batcher.append([item])
  t.same(
    batches.map(({ items }) => items),
    [[1], [2]],
  )
})

t.test('starts a concurrent commit only for at least minConcurrentBatch items', async (t) => {
  const { batches, commit, done } = controlled()
  const batcher = new Batcher(commit, { concurrency: 2, maxBatch: 10, minConcurrentBatch: 3 })
  const outcomes = [1, 2, 3].map((item) => batcher.append([item]))
  t.equal(batches.length, 1, 'two items wait')
  outcomes.push(batcher.append([4]))
  t.same(batches[1]?.items, [2, 3, 4])
  outcomes.push(batcher.append([5]))
  done(1)
  t.same(await outcomes[3], ['stored 4'])
  t.equal(batches.length, 2, 'one item waits while a commit is running')
  done(0)
  t.same(await outcomes[0], ['stored 1'])
  t.same(batches[2]?.items, [5])
})

t.test('rejects the items of a failed commit and no others', async (t) => {
  const { batches, commit, done } = controlled()
  const batcher = new Batcher(commit, { concurrency: 1, minConcurrentBatch: 1, maxBatch: 10 })
  const first = batcher.append([1])
  const second = batcher.append([2])
  batches[0]?.settle(Promise.reject(new Error('disk full')))
  await t.rejects(first, { message: 'disk full' })
  done(1)
  t.same(await second, ['stored 2'])
})

t.test('rejects an item without an outcome', async (t) => {
  const batcher = new Batcher<number, string>(async () => [], {
    concurrency: 1,
    minConcurrentBatch: 1,
    maxBatch: 10,
  })
  await t.rejects(batcher.append([1]), { message: 'the store returned 0 outcomes for 1 items' })
})

t.test('commits items that were appended together in one batch', async (t) => {
  const { batches, commit, done } = controlled()
  const batcher = new Batcher(commit, { concurrency: 1, minConcurrentBatch: 1, maxBatch: 3 })
  const outcomes = [[1], [2, 3], [4, 5], [6, 7, 8, 9], [10]].map((items) => batcher.append(items))
  t.equal(batcher.waiting, 9)
  done(0)
  await outcomes[0]
  t.same(batches[1]?.items, [2, 3], 'the next four items would exceed maxBatch')
  done(1)
  t.same(await outcomes[1], ['stored 2', 'stored 3'])
  t.same(batches[2]?.items, [4, 5])
  done(2)
  await outcomes[2]
  t.same(batches[3]?.items, [6, 7, 8, 9], 'more than maxBatch, as they were appended together')
  done(3)
  t.same(await outcomes[3], ['stored 6', 'stored 7', 'stored 8', 'stored 9'])
  t.same(batches[4]?.items, [10])
  t.equal(batcher.waiting, 0)
})

t.test('resolves at once without items', async (t) => {
  const { batches, commit } = controlled()
  const batcher = new Batcher(commit, { concurrency: 1, minConcurrentBatch: 1, maxBatch: 3 })
  t.same(await batcher.append([]), [])
  t.equal(batches.length, 0)
})
