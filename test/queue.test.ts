import t from 'tap'
import { Queue, type QueueMember } from '../src/queue.ts'

interface Named extends QueueMember<Named> {
  name: string
}

function queueOf(...names: string[]) {
  const queue = new Queue<Named>()
  const members = names.map(
    (name): Named => ({ name, queue: undefined, older: undefined, newer: undefined, weight: 1 }),
  )
  for (const member of members) queue.add(member)
  const left = () => [...queue].map(({ name }) => name)
  return { queue, members, left }
}

t.test('keeps insertion order and removes members from any position', async (t) => {
  for (const leaving of ['a', 'b', 'c']) {
    const { queue, members, left } = queueOf('a', 'b', 'c')
    for (const member of members) if (member.name === leaving) queue.remove(member)
    t.same(
      left(),
      ['a', 'b', 'c'].filter((name) => name !== leaving),
    )
    t.equal(queue.size, 2)
    queue.add({ name: 'd', queue: undefined, older: undefined, newer: undefined, weight: 1 })
    t.equal(left().at(-1), 'd')
  }
})

t.test('allows removing the current member during iteration, and clears its links', async (t) => {
  const { queue, members, left } = queueOf('a', 'b', 'c')
  for (const member of queue) queue.remove(member)
  t.same(left(), [])
  t.equal(queue.size, 0)
  for (const { older, newer } of members) t.same([older, newer], [undefined, undefined])
})

t.test('removes a member from its queue when it is added to another', async (t) => {
  const { queue, members, left } = queueOf('a', 'b')
  const other = queueOf()
  for (const member of members) if (member.name === 'a') other.queue.add(member)
  t.same([left(), queue.size], [['b'], 1])
  t.same([other.left(), other.queue.size], [['a'], 1])
})

t.test('sums the weights of its members', async (t) => {
  const { queue, members } = queueOf('a', 'b')
  const heavy: Named = {
    name: 'c',
    queue: undefined,
    older: undefined,
    newer: undefined,
    weight: 46,
  }
  queue.add(heavy)
  t.equal(queue.weight, 48)
  queue.add(heavy)
  t.equal(queue.weight, 48, 'a member that is added again counts once')
  for (const member of members) queue.remove(member)
  t.equal(queue.weight, 46)
  queue.remove(heavy)
  t.equal(queue.weight, 0)
})
