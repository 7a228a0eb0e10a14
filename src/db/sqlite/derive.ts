import type { Database } from 'better-sqlite3'
import { fold } from '../fold.ts'
import type { deriveQueries } from './queries/derive.ts'
import { prepare } from './statement.ts'

/** Lengths of a sort key's beginning that name its UTC day and its UTC minute. */
export const DAY_LENGTH = 10
export const MINUTE_LENGTH = 16

/** Counts what the items are counted by. */
function countBy<Item>(items: Item[], keyOf: (item: Item) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) {
    const key = keyOf(item)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Derives the counters and the indexes from messages beyond the watermark and moves it, in one transaction. Doing so
 * for many rows at once is what makes it cheap: keys are sorted, so that pages are met in order, and counted first.
 */
export function prepareDerive(
  database: Database,
  queries: typeof deriveQueries,
): (limit: number) => number {
  const beyond = prepare(database, queries.beyond)
  const addSender = prepare(database, queries.addSender)
  const addSenderMessage = prepare(database, queries.addSenderMessage)
  const addDay = prepare(database, queries.addDay)
  const addMinute = prepare(database, queries.addMinute)
  const addTrigrams = prepare(database, queries.addTrigrams)
  const move = prepare(database, queries.move)

  /** @param limit rows at most. @returns how many it was; fewer than the limit when there are no more. */
  function derive(limit: number): number {
    const rows = beyond.all({ limit })
    const last = rows.at(-1)
    if (!last) return 0

    let newSenders = 0
    const senders = new Map<string, number>()
    const perSender = countBy(rows, (row) => row.from_msisdn)
    for (const msisdn of [...perSender.keys()].sort(compare)) {
      const count = perSender.get(msisdn) ?? 0
      const sender = addSender.get({ msisdn, count })
      if (!sender) throw new Error('a sender was counted without a row')
      if (sender.count === count) newSenders++
      senders.set(msisdn, sender.id)
    }
    const sorted = rows
      .map((row) => ({ ...row, sender: senders.get(row.from_msisdn) ?? 0 }))
      .sort((a, b) => a.sender - b.sender || compare(a.ts_key, b.ts_key))
    for (const row of sorted) addSenderMessage.run({ ...row })

    const perDay = countBy(rows, (row) => row.ts_key.slice(0, DAY_LENGTH))
    for (const [day, count] of perDay) addDay.run({ day, count })
    const perMinute = countBy(rows, (row) => row.ts_key.slice(0, MINUTE_LENGTH))
    for (const minute of [...perMinute.keys()].sort(compare)) {
      addMinute.run({ minute, count: perMinute.get(minute) })
    }
    for (const { seq, text } of rows) {
      if (text !== null && text !== '') addTrigrams.run({ seq, text: fold(text) })
    }
    move.run({ seq: last.seq, messages: rows.length, senders: newSenders })
    return rows.length
  }

  return database.transaction(derive).immediate
}
