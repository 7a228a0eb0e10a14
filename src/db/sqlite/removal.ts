import type { Database } from 'better-sqlite3'
import { instantKey } from '../../message/instant.ts'
import { digestOf } from '../../schemas/feed-cursor.ts'
import { keyedDigest } from '../keyed-digest.ts'
import type { Erasure, ExpiryStep, RemovalStep } from '../removal.ts'
import { enableSecureDelete } from './connection.ts'
import type { removalQueries } from './queries/removal.ts'
import type { Prepared } from './statement.ts'

/**
 * Number of messages after which the position of a removed message is no longer valid in cursors.
 * It bounds the size of the table of positions, which have about 30 bytes each.
 */
const POSITION_WINDOW = 1_000_000

/** Bounds of the number of messages that a step removes, and its target duration in milliseconds. */
const MIN_STEP = 25
const MAX_STEP = 2000
const STEP_MS = 10

/** Maximum number of messages without an instant that a step examines. */
const UNDATED_STEP = 500

/** The messages that a step removes. */
const SELECTED_TABLE = `
  create temp table selected (
    seq integer primary key, sender integer, ts_key text not null, message_id text not null
  )`

/** The last messages that the counters and the trigram index cover. */
interface Watermarks {
  watermark: number
  trigrams: number
}

/**
 * Removes messages from the table of messages, the counters and the indexes, in steps.
 * Reads are exact after each step. A step is short enough to run between two appends: it adapts the number of messages
 * to the time that they take, by `adapt`. The caller runs each other call in a transaction.
 */
export class Removal {
  readonly #query: Prepared<typeof removalQueries>
  readonly #watermarks: () => Watermarks
  readonly #enableSecureDelete: () => void
  #limit = MIN_STEP
  /** Id of the last message without an instant that was examined. */
  #undatedAfter = ''

  constructor(
    database: Database,
    query: Prepared<typeof removalQueries>,
    watermarks: () => Watermarks,
  ) {
    this.#query = query
    this.#watermarks = watermarks
    this.#enableSecureDelete = () => enableSecureDelete(database)
    database.exec(SELECTED_TABLE)
    const { key } = query.key.get() ?? {}
    if (!key) throw new Error('the database has no key for digests')
    database.function('id_digest', (id) => keyedDigest(key, String(id)))
    database.function('position_digest', (id) => keyedDigest(key, digestOf(String(id))))
  }

  /**
   * Removes messages whose instant is before a sort key.
   * Messages without an instant are removed by the time at which they were stored.
   */
  removeExpired(before: string): ExpiryStep {
    let done = false
    let removed = this.#query.select.expired.run({ before, limit: this.#limit })
    if (removed < this.#limit) {
      const undated = this.#selectUndated(before, this.#limit - removed)
      removed += undated
      done = undated === 0
    }
    if (removed > 0) this.#removeSelected()
    return { removed, done, oldest: this.#query.select.oldest.get()?.ts_key }
  }

  /** Removes messages so that their ids are never stored again. */
  erase(erasure: Erasure): RemovalStep {
    this.#enableSecureDelete()
    if ('from' in erasure) return this.#eraseSender(erasure.from)
    let removed = 0
    for (const message_id of new Set(erasure.ids)) {
      this.#query.addErasedId.run({ message_id })
      removed += this.#query.select.byId.run({ message_id })
    }
    this.#removeSelected()
    return { removed, done: true }
  }

  /** Adapts the number of messages of the next step to the duration of one, its commit and checkpoint included. */
  adapt({ removed }: RemovalStep, ms: number): void {
    if (removed < this.#limit && ms < STEP_MS) return
    const factor = Math.min(1.25, Math.max(0.5, STEP_MS / ms))
    this.#limit = Math.round(Math.min(MAX_STEP, Math.max(MIN_STEP, this.#limit * factor)))
  }

  #eraseSender(from: string): RemovalStep {
    const limit = this.#limit
    const indexed = this.#query.select.bySender.run({ from, limit })
    const above = { from, limit: limit - indexed, watermark: this.#watermarks().watermark }
    const removed = indexed + this.#query.select.aboveBySender.run(above)
    this.#query.erasedIds.run()
    if (removed > 0) this.#removeSelected()
    return { removed, done: removed < limit }
  }

  #selectUndated(before: string, maximum: number): number {
    const limit = Math.min(UNDATED_STEP, maximum)
    const rows = this.#query.select.undated.all({ after: this.#undatedAfter, limit })
    this.#undatedAfter = rows.length < limit ? '' : (rows.at(-1)?.message_id ?? '')
    const expired = rows.filter(({ created_at }) => (instantKey(created_at) ?? before) < before)
    for (const { message_id } of expired) this.#query.select.byId.run({ message_id })
    return expired.length
  }

  #removeSelected(): void {
    const query = this.#query
    const { watermark, trigrams } = this.#watermarks()
    query.trigrams.run({ trigrams })
    for (const { run } of query.runs.all()) query.senderEntries.run({ run, watermark })
    query.countSenders.run({ watermark })
    query.countDays.run({ watermark })
    query.days.run({ watermark })
    query.countMinutes.run({ watermark })
    query.minutes.run({ watermark })
    query.watermark.run({ watermark, senders: query.senders.run({ watermark }) })
    query.positions.run()
    query.messages.run()
    query.feedStart.run()
    query.trimPositions.run({ window: POSITION_WINDOW })
    query.clear.run()
  }
}
