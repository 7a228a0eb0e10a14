import {
  fromDetailedRow,
  fromRejectedRow,
  MAX_REJECTED_BYTES,
  type NewRejectedBody,
  type RejectedBodiesQuery,
  type RejectedBodyStore,
  toRejectedRow,
} from '../rejected-bodies.ts'
import { transactionLock } from './locks.ts'
import type { Session } from './pool.ts'
import type { Pools } from './pools.ts'
import { build } from './queries/build.ts'

/**
 * Milliseconds for a batch.
 * When the service stops, up to two batches follow the last response, within the time limit of the shutdown.
 */
const KEEP_TIMEOUT_MS = 1000

const SELECT_SUMMARY = build
  .selectFrom('rejected_bodies')
  .select((eb) => [
    'id',
    'at',
    'source',
    'status',
    'problems',
    eb.fn<number>('octet_length', ['body']).as('bytes'),
  ])

/** Deletes all but the newest bodies that fit both limits. */
async function trim(session: Session, limit: number): Promise<void> {
  await session
    .deleteFrom('rejected_bodies')
    .where('id', 'in', (eb) =>
      eb
        .selectFrom((eb) =>
          eb
            .selectFrom('rejected_bodies')
            .select((eb) => [
              'id',
              eb.fn
                .countAll<number>()
                .over((over) => over.orderBy('id', 'desc'))
                .as('position'),
              eb.fn
                .sum<number>(eb.fn('octet_length', ['body']))
                .over((over) => over.orderBy('id', 'desc'))
                .as('total'),
            ])
            .as('ranked'),
        )
        .select('ranked.id')
        .where((eb) => eb.or([eb('position', '>', limit), eb('total', '>', MAX_REJECTED_BYTES)])),
    )
    .execute()
}

/** The rejected bodies of a store in PostgreSQL. */
export class PostgresRejectedBodies implements RejectedBodyStore {
  readonly #pools: Pick<Pools, 'maintenance' | 'reads'>

  constructor(pools: Pick<Pools, 'maintenance' | 'reads'>) {
    this.#pools = pools
  }

  keep(bodies: readonly NewRejectedBody[], limit: number): Promise<void> {
    const rows = bodies.map(toRejectedRow)
    return this.#pools.maintenance.run(
      (session) =>
        session.transaction().execute(async (transaction) => {
          // Serializes the batches of all instances: ids become visible in ascending order, without deadlocks.
          await transactionLock(transaction, 'rejectedBodies')
          await transaction.insertInto('rejected_bodies').values(rows).execute()
          await trim(transaction, limit)
        }),
      { timeoutMs: KEEP_TIMEOUT_MS },
    )
  }

  async list({ before, limit }: RejectedBodiesQuery, signal?: AbortSignal) {
    const query = SELECT_SUMMARY.orderBy('id', 'desc')
      .limit(limit)
      .$if(before !== undefined, (query) => query.where('id', '<', before ?? 0))
    const rows = await this.#pools.reads.run(
      async (session) => (await session.executeQuery(query)).rows,
      { signal },
    )
    return rows.map(fromRejectedRow)
  }

  async find(id: number, signal?: AbortSignal) {
    const query = SELECT_SUMMARY.select(['headers', 'body']).where('id', '=', id)
    const { rows } = await this.#pools.reads.run((session) => session.executeQuery(query), {
      signal,
    })
    return rows[0] && fromDetailedRow(rows[0])
  }

  async remove(id: number): Promise<void> {
    await this.#pools.maintenance.run((session) =>
      session.deleteFrom('rejected_bodies').where('id', '=', id).execute(),
    )
  }
}
