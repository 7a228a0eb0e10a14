import {
  endOfPrefix,
  nextPosition,
  type SenderCount,
  type SenderPage,
  type SenderQuery,
} from '../sender-query.ts'
import type { countQueries } from './queries/count.ts'
import type { senderQueries } from './queries/senders.ts'
import type { Prepared } from './statement.ts'

/** Returns a function that compares senders in the order of a query. */
export function comparatorOf({ order }: Pick<SenderQuery, 'order'>) {
  return (a: SenderCount, b: SenderCount): number =>
    (order === 'count' ? b.count - a.count : 0) ||
    Buffer.compare(Buffer.from(a.from), Buffer.from(b.from))
}

/** Merges two sorted sequences. */
function* merge<Item>(
  items: Iterable<Item>,
  others: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Generator<Item, void> {
  let index = 0
  for (const item of items) {
    for (let other = others[index]; other && compare(other, item) < 0; other = others[++index]) {
      yield other
    }
    yield item
  }
  yield* others.slice(index)
}

/**
 * Prepares pages of senders. The function that it returns must run within a read transaction.
 * The counters of senders with messages above the watermark are out of date. These senders are excluded from the
 * sequence of counters, and merged into it by their actual counts.
 * @param throwIfCancelled called between statements.
 */
export function prepareSenders(
  count: Prepared<typeof countQueries>,
  queries: Prepared<typeof senderQueries>,
  throwIfCancelled: () => void,
): (query: SenderQuery) => SenderPage {
  /** Reads counters in order, from the position of the page, which may be included. */
  function* counters({ prefix, order, after }: SenderQuery): Generator<SenderCount, void> {
    const range = { start: prefix, end: endOfPrefix(prefix) ?? null }
    const rest = { ...range, start: after?.number ?? prefix }
    if (order === 'number') yield* queries.byNumber.iterate(rest)
    else {
      if (after) yield* queries.ofCount.iterate({ ...rest, count: after.count })
      yield* queries.below.iterate({ ...range, count: after?.count ?? Number.MAX_SAFE_INTEGER })
    }
  }

  function find(query: SenderQuery, watermark: number): SenderCount[] {
    const { prefix, limit, after } = query
    const compare = comparatorOf(query)
    const position = after && { from: after.number, count: after.count }
    const isAfter = (one: SenderCount) => !position || compare(one, position) > 0
    const above = new Map(
      count.aboveBySender
        .all({ watermark })
        .map(({ from, known, count }) => [from, { from, count: (known ?? 0) + count }]),
    )
    const changed = [...above.values()]
      .filter((one) => one.from.startsWith(prefix) && isAfter(one))
      .sort(compare)
    function* unchanged(): Generator<SenderCount, void> {
      for (const one of counters(query)) if (!above.has(one.from) && isAfter(one)) yield one
    }
    const found: SenderCount[] = []
    for (const one of merge(unchanged(), changed, compare)) {
      if (found.push(one) > limit) break
    }
    return found
  }

  /** Returns the `seq` of the first and of the last message above the watermark by sender. */
  function extremesAbove(senders: readonly SenderCount[], watermark: number) {
    const first = new Map<string, number>()
    const last = new Map<string, number>()
    const numbers = JSON.stringify(senders.map(({ from }) => from))
    for (const { from, seq } of queries.aboveOfSenders.iterate({ watermark, senders: numbers })) {
      if (!first.has(from)) first.set(from, seq)
      last.set(from, seq)
    }
    return { first, last }
  }

  return function senders(query) {
    const { seq: watermark = 0 } = count.watermark.get() ?? {}
    const found = find(query, watermark)
    const shown = found.slice(0, query.limit)
    const above = extremesAbove(shown, watermark)
    const data = shown.map(({ from, count: messages }) => {
      throwIfCancelled()
      const { id: sender = 0 } = count.sender.get({ from }) ?? {}
      const extreme = (which: 'first' | 'last') =>
        queries[which].get({ sender, above: above[which].get(from) ?? null })?.ts ?? null
      return {
        from,
        count: messages,
        first_message_ts: extreme('first'),
        last_message_ts: extreme('last'),
      }
    })
    return { data, next: nextPosition(found, query) }
  }
}
