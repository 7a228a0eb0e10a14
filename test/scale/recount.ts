import type { Test } from 'tap'
import type { Cluster } from '../../tools/cluster.ts'
import type { Instance } from './instance.ts'

/** SQL expression of the sort key of `ts`. */
const KEY = `rtrim(case when ts like '%.%' then rtrim(ts, 'Z0') else rtrim(ts, 'Z') end, '.') collate "C"`

/** Computes the statistics from the rows, in the form of `GET /stats`. */
async function recount(cluster: Cluster, database: string) {
  const [totals] = await cluster.query<{
    messages: string
    senders: string
    first: string | null
    last: string | null
  }>(
    database,
    `select count(*) as messages, count(distinct from_msisdn) as senders,
            (select ts from messages order by ${KEY}, message_id collate "C" limit 1) as first,
            (select ts from messages order by ${KEY} desc, message_id collate "C" desc limit 1) as last
     from messages`,
  )
  const top = await cluster.query<{ from: string; count: string }>(
    database,
    `select from_msisdn as from, count(*) from messages
     group by from_msisdn order by count(*) desc, from_msisdn collate "C" limit 10`,
  )
  return {
    total_messages: Number(totals?.messages),
    senders_count: Number(totals?.senders),
    messages_per_sender: top.map(({ from, count }) => ({ from, count: Number(count) })),
    first_message_ts: totals?.first ?? null,
    last_message_ts: totals?.last ?? null,
  }
}

/** Asserts that acknowledged messages are stored and that statistics equal a recount. */
export async function assertExact(
  t: Test,
  cluster: Cluster,
  database: string,
  instances: readonly Instance[],
  acknowledged: readonly string[],
): Promise<void> {
  const [lost] = await cluster.query<{ count: string }>(
    database,
    `select count(*) from unnest($1::text[]) as id
     where not exists (select from messages where message_id = id)`,
    [acknowledged],
  )
  t.equal(Number(lost?.count), 0, `all ${acknowledged.length} acknowledged messages are stored`)
  const counted = await recount(cluster, database)
  for (const { url } of instances) {
    const stats = await (await fetch(`${url}/stats`)).json()
    t.strictSame(stats, counted, `statistics of ${counted.total_messages} messages equal a recount`)
  }
}
