import { type RawBuilder, sql } from 'kysely'
import type { Session } from './pool.ts'

/** First key of every advisory lock of the service: `lyft` in ASCII. */
const NAMESPACE = 0x6c796674

/** Second key of each advisory lock. */
const KEYS = {
  /** Held by the session that migrates the schema. */
  migration: 1,
  /** Held by the transaction of a rollup step, and by the session that recounts. */
  rollup: 2,
  /** Held by the session that builds the text index. */
  textIndex: 3,
  /** Held by the transaction that keeps rejected bodies. */
  rejectedBodies: 4,
} as const

/** Name of an advisory lock. */
export type LockName = keyof typeof KEYS

function keysOf(lock: LockName): RawBuilder<unknown> {
  return sql`${sql.lit(NAMESPACE)}, ${sql.lit(KEYS[lock])}`
}

/** Returns an expression that takes the lock for the transaction; false if another session holds it. */
export function tryTransactionLock(lock: LockName): RawBuilder<boolean> {
  return sql`pg_try_advisory_xact_lock(${keysOf(lock)})`
}

/** Waits for the lock, and takes it for the transaction. */
export async function transactionLock(transaction: Session, lock: LockName): Promise<void> {
  await sql`select pg_advisory_xact_lock(${keysOf(lock)})`.execute(transaction)
}

/** Tries to take the lock for the session. @returns false if another session holds it. */
export async function tryLock(session: Session, lock: LockName): Promise<boolean> {
  const { locked } = await session
    .selectNoFrom(sql<boolean>`pg_try_advisory_lock(${keysOf(lock)})`.as('locked'))
    .executeTakeFirstOrThrow()
  return locked
}

/** Releases a lock that the session holds. */
export async function unlock(session: Session, lock: LockName): Promise<void> {
  await sql`select pg_advisory_unlock(${keysOf(lock)})`.execute(session)
}

/** Waits for the lock, runs the work, and releases the lock. */
export async function withLock<Result>(
  session: Session,
  lock: LockName,
  work: () => Promise<Result>,
): Promise<Result> {
  await sql`select pg_advisory_lock(${keysOf(lock)})`.execute(session)
  try {
    return await work()
  } finally {
    await unlock(session, lock)
  }
}
