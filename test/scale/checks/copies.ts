import t from 'tap'
import { sign, wire } from '../../helper.ts'
import { DATABASE, startPicture } from '../picture.ts'
import { assertExact } from '../recount.ts'

const COPIES = 60
const IDS = 50

t.test('sixty copies of one id over three instances make one row and one created', async (t) => {
  const { cluster, instances, balancer } = await startPicture(t)
  const sum = async (result: 'created' | 'duplicate') => {
    const counts = await Promise.all(instances.map((instance) => instance.counted(result)))
    return counts.reduce((a, b) => a + b)
  }
  const ids = Array.from({ length: IDS }, (_, number) => `copy-${number}`)
  let answered = 0
  for (const message_id of ids) {
    const answers = await Promise.all(
      Array.from({ length: COPIES }, async (_, copy) => {
        // Each copy says something else: the one that is stored is one of them as a whole.
        const body = wire({ message_id, ts: '2025-01-15T10:00:00.000Z', text: `copy ${copy}` })
        const to = instances[copy % instances.length] ?? balancer
        return fetch(`${to.url}/webhook`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-signature': sign(body) },
          body,
        })
      }),
    )
    answered += answers.filter(({ status }) => status === 200).length
  }
  t.equal(answered, COPIES * IDS, `each of ${IDS} times ${COPIES} copies is answered 200`)
  t.equal(await sum('created'), IDS, `${IDS} created`)
  t.equal(await sum('duplicate'), (COPIES - 1) * IDS, `${(COPIES - 1) * IDS} duplicates`)
  const rows = await cluster.query(DATABASE, 'select message_id from messages')
  t.equal(rows.length, IDS, `${IDS} rows`)
  await assertExact(t, cluster, DATABASE, instances, ids)
})
