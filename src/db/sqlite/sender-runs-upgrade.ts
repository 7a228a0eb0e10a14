import type { Database } from 'better-sqlite3'
import { FAN_IN } from './schema.ts'

/** Entries that one transaction moves: about 20 ms. */
const STEP = 10_000

/** Messages of a run of level 0. */
const SMALLEST_RUN = 1000

/** Returns the level of a run of this size, so that it is merged with runs of its own size. */
function levelOf(messages: number): number {
  return Math.max(0, Math.round(Math.log(messages / SMALLEST_RUN) / Math.log(FAN_IN)))
}

/**
 * Prepares the upgrade of a database that was filled before migration 0003.
 * The upgrade moves the entries of the table `sender_messages` into one run of the sender index. The returned function
 * moves some of them in one transaction, and returns the number of those that are left. An interrupted upgrade resumes.
 * The run becomes visible with the last entry.
 */
export function prepareSenderUpgrade(database: Database): () => number {
  let left: number | undefined

  const move = database.transaction((): number => {
    const run = upgradeRun(database)
    const { changes } = database
      .prepare(
        `insert into sender_entries (run, sender, ts_key, message_id, seq)
        select ?, sender, ts_key, message_id, seq from sender_messages
        order by sender, ts_key, message_id limit ?`,
      )
      .run(run, STEP)
    database
      .prepare(
        `delete from sender_messages where (sender, ts_key, message_id) <= (
          select sender, ts_key, message_id from sender_entries where run = ?
          order by sender desc, ts_key desc, message_id desc limit 1)`,
      )
      .run(run)
    if (changes < STEP) finish(database, run)
    return changes
  })

  return () => {
    const exists = database.prepare("select 1 from sqlite_schema where name = 'sender_messages'")
    if (!exists.get()) return 0
    left ??= count(database, 'select count(*) from sender_messages')
    const moved = move.immediate()
    left = moved < STEP ? 0 : Math.max(1, left - moved)
    return left
  }
}

/** Returns the run that the upgrade fills, and adds it if it is missing. */
function upgradeRun(database: Database): number {
  const found = database
    .prepare<[], number>("select run from sender_runs where state = 'upgrade'")
    .pluck()
    .get()
  if (found !== undefined) return found
  const { lastInsertRowid } = database
    .prepare("insert into sender_runs (level, state) values (0, 'upgrade')")
    .run()
  return Number(lastInsertRowid)
}

function finish(database: Database, run: number): void {
  const moved = count(database, 'select count(*) from sender_entries where run = ?', run)
  database
    .prepare("update sender_runs set state = 'live', level = ? where run = ?")
    .run(levelOf(moved), run)
  database.exec('drop table sender_messages')
}

function count(database: Database, sql: string, ...values: number[]): number {
  return (
    database
      .prepare<number[], number>(sql)
      .pluck()
      .get(...values) ?? 0
  )
}
