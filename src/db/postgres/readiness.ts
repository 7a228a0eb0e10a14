import { sql } from 'kysely'
import { checkAppend, rehearseAppend } from './append.ts'
import type { Pool, Session } from './pool.ts'

/** Milliseconds for a check. */
const WITHIN_MS = 1000

/**
 * Checks that the database takes messages: it is read and written, and the statement that stores a batch runs. Until a
 * check has passed, and again after each failed batch, the check also stores a batch and rolls it back, as the little
 * that it writes otherwise may fit on a full disk.
 */
export class Readiness {
  readonly #pool: Pool
  #check: Promise<void> | undefined
  #doubtful = true

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Call it after a batch failed. */
  doubt(): void {
    this.#doubtful = true
  }

  /** Rejects when the database takes no messages. Callers share the check that is running. */
  check(): Promise<void> {
    this.#check ??= this.#run().finally(() => {
      this.#check = undefined
    })
    return this.#check
  }

  async #run(): Promise<void> {
    const doubtful = this.#doubtful
    // A batch that fails meanwhile makes the next check doubtful.
    this.#doubtful = false
    try {
      await this.#pool.run((session) => check(session, doubtful), { withinMs: WITHIN_MS })
    } catch (error) {
      this.#doubtful = true
      throw error
    }
  }
}

async function check(session: Session, doubtful: boolean): Promise<void> {
  await sql`
    insert into heartbeat (id, at) select 1, ${new Date().toISOString()}
    from (select count(*) from (select from messages limit 1) as any_message) as readable
    on conflict (id) do update set at = excluded.at`.execute(session)
  await checkAppend(session)
  if (doubtful) await rehearseAppend(session)
}
