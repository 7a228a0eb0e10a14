import { type SqlBool, sql } from 'kysely'
import type { Erasure, ExpiryStep, MessageRemoval, RemovalStep } from '../removal.ts'
import { transactionLock } from './locks.ts'
import type { Session } from './pool.ts'
import type { Pools } from './pools.ts'
import { removeMessages } from './removal-step.ts'
import type { Rollup } from './rollup.ts'

/** Messages that a step removes: about 20 ms. */
const STEP_MESSAGES = 1000

/**
 * Milliseconds for a step.
 * It is above the statement timeout, so that the server ends a slow statement first.
 */
const STEP_TIMEOUT_MS = 5000

/** Runs the work in a transaction that holds the lock of the rollup. */
function withRollupLock<Result>(
  session: Session,
  work: (transaction: Session) => Promise<Result>,
): Promise<Result> {
  return session.transaction().execute(async (transaction) => {
    await transactionLock(transaction, 'rollup')
    return await work(transaction)
  })
}

async function removeExpired(session: Session, before: string): Promise<ExpiryStep> {
  const conditions = [
    sql<SqlBool>`ts_key > '' and ts_key < ${before}`,
    // The service itself wrote these times, in UTC.
    sql<SqlBool>`ts_key = '' and created_at >= '0' and created_at < ${before}`,
  ]
  let removed = 0
  for (const condition of conditions) {
    removed += await withRollupLock(session, async (transaction) => {
      // A removal that is lost in a crash is repeated, so its commit need not be synced.
      await sql`set local synchronous_commit = off`.execute(transaction)
      return await removeMessages(transaction, condition, STEP_MESSAGES - removed)
    })
    if (removed === STEP_MESSAGES) break
  }
  const oldest = await session
    .selectFrom('messages')
    .select('ts_key')
    .where('ts_key', '>', '')
    .orderBy('ts_key')
    .limit(1)
    .executeTakeFirst()
  return { removed, done: removed < STEP_MESSAGES, oldest: oldest?.ts_key }
}

/** Returns the ids of a step: the given ones, or some of a sender. */
async function idsOf(session: Session, erasure: Erasure): Promise<readonly string[]> {
  if ('ids' in erasure) return erasure.ids
  const rows = await session
    .selectFrom('messages')
    .select('message_id')
    .where('from_msisdn', '=', erasure.from)
    .limit(STEP_MESSAGES)
    .execute()
  return rows.map(({ message_id }) => message_id)
}

/**
 * Erases messages.
 * The digests of their ids are committed first. Then the lock waits for running batches, which do not see them, so that
 * none of these stores an id again that was just removed.
 */
async function erase(session: Session, erasure: Erasure): Promise<RemovalStep> {
  const ids = await idsOf(session, erasure)
  await sql`
    insert into erased_ids select keyed_digest(id) from unnest(${ids}::text[]) as id
    on conflict do nothing`.execute(session)
  return await withRollupLock(session, async (transaction) => {
    await sql`lock table pending_batches in share row exclusive mode`.execute(transaction)
    const isNamed = sql<SqlBool>`message_id = any(${ids}::text[])`
    const removed = await removeMessages(transaction, isNamed, ids.length)
    // A batch that was stored since the rollup is pending, so that its messages are left.
    const left = await transaction
      .selectFrom('messages')
      .select('message_id')
      .where(isNamed)
      .limit(1)
      .executeTakeFirst()
    const isLast = 'ids' in erasure || ids.length < STEP_MESSAGES
    return { removed, done: isLast && left === undefined }
  })
}

/** Removes messages from a PostgreSQL database. */
export class PostgresMessageRemoval implements MessageRemoval {
  readonly #pools: Pools
  readonly #rollup: Rollup

  /** @param rollup adds pending batches to the counters; their messages cannot be removed before. */
  constructor(pools: Pools, rollup: Rollup) {
    this.#pools = pools
    this.#rollup = rollup
  }

  async removeExpired(before: string): Promise<ExpiryStep> {
    await this.#rollup.step()
    return await this.#pools.maintenance.run((session) => removeExpired(session, before), {
      timeoutMs: STEP_TIMEOUT_MS,
    })
  }

  async erase(erasure: Erasure): Promise<RemovalStep> {
    await this.#rollup.catchUp()
    return await this.#pools.longRunning.run((session) => erase(session, erasure))
  }

  async purge(): Promise<void> {
    await this.#pools.longRunning.run(async (session) => {
      // Without the option, PostgreSQL keeps index entries of removed rows while these are few.
      await sql`vacuum (index_cleanup on)
        messages, senders, days, minutes, feed_batches, rejected_bodies`.execute(session)
    })
  }
}
