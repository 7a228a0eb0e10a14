import type { Session } from './pool.ts'

/** Runs reads in one snapshot: a read-only transaction with the isolation level `repeatable read`. */
export function inSnapshot<Result>(
  session: Session,
  read: (transaction: Session) => Promise<Result>,
): Promise<Result> {
  return session
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(read)
}
