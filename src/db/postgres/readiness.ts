import { sql } from 'kysely'
import { checkAppend, tryAppend } from './append.ts'
import type { Pool, Session } from './pool.ts'

/** Milliseconds for a check. */
const TIMEOUT_MS = 1000

/**
 * Checks that the database can store messages.
 * A check reads, writes a heartbeat row, and runs the append statement with an empty batch. The first check, and each
 * check after a failed batch or check, also inserts a trial batch and rolls it back: on a full disk, the write of the
 * heartbeat may still succeed.
 */
export class Readiness {
  readonly #pool: Pool
  #check: Promise<void> | undefined
  #needsTrial = true

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Makes the next check store a trial batch; to be called after a failed batch. */
  requireTrial(): void {
    this.#needsTrial = true
  }

  /** Rejects if the database cannot store messages. Concurrent callers share one check. */
  check(): Promise<void> {
    this.#check ??= this.#run().finally(() => {
      this.#check = undefined
    })
    return this.#check
  }

  async #run(): Promise<void> {
    const withTrial = this.#needsTrial
    // Reset before the check, so that a batch that fails meanwhile is not overlooked.
    this.#needsTrial = false
    try {
      await this.#pool.run((session) => check(session, withTrial), { timeoutMs: TIMEOUT_MS })
    } catch (error) {
      this.#needsTrial = true
      throw error
    }
  }
}

async function check(session: Session, withTrial: boolean): Promise<void> {
  await sql`
    insert into heartbeat (id, at) select 1, ${new Date().toISOString()}
    from (select count(*) from (select from messages limit 1) as any_message) as readable
    on conflict (id) do update set at = excluded.at`.execute(session)
  await checkAppend(session)
  if (withTrial) await tryAppend(session)
}
