import { sql } from 'kysely'
import { ALL_COLUMNS } from '../../../message/columns.ts'
import type { FeedFilter } from '../../../message/filter.ts'
import type { FilterParameters } from '../filter-parameters.ts'
import { build, compile, type Placeholders } from './compile.ts'
import { byUnindexed, checkCancelled, contains, eb, unindexed } from './expressions.ts'

/** The messages with a `seq` above `after`, up to `last`. */
type RangeParameters = { after: number; last: number }

/** The parameters of the filter; null stands for any sender. */
type MatchParameters = Pick<FilterParameters, Exclude<keyof FeedFilter, 'from'>> & {
  from: string | null
}

function messagesIn({ after, last }: Placeholders<RangeParameters>) {
  return build
    .selectFrom('messages')
    .select(['seq', ...ALL_COLUMNS])
    .where('seq', '>', after)
    .where('seq', '<=', last)
    .where(checkCancelled)
    .orderBy('seq')
}

/**
 * The statements of the feed.
 * Its order is that of `seq`, as writers run one after the other and assign it in their transactions.
 */
export const feedQueries = {
  start: compile(() => build.selectFrom('feed_start').select('seq')),
  idAt: compile(({ seq }: Placeholders<{ seq: number }>) =>
    build.selectFrom('messages').select('message_id').where('seq', '=', seq),
  ),
  /** The keyed digest of a removed message, and its key. */
  removedAt: compile(({ seq }: Placeholders<{ seq: number }>) =>
    build
      .selectFrom(['removed_messages', 'digest_key'])
      .select(['digest', 'key'])
      .where('seq', '=', seq),
  ),
  newest: compile(() =>
    build.selectFrom('messages').select(['seq', 'message_id']).orderBy('seq', 'desc').limit(1),
  ),
  /** The message that ends a window of `skip + 1` messages. */
  windowEnd: compile(({ after, skip }: Placeholders<{ after: number; skip: number }>) =>
    build
      .selectFrom('messages')
      .select(['seq', 'message_id'])
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(1)
      .offset(skip),
  ),
  all: compile((p: Placeholders<RangeParameters>) => messagesIn(p)),
  /** Uses no other index, which would return the messages in another order. An empty `q` matches all. */
  matching: compile((p: Placeholders<RangeParameters & MatchParameters>) =>
    messagesIn(p).where(
      eb.and([
        eb.or([eb(p.from, 'is', null), eb(unindexed('messages.from_msisdn'), '=', p.from)]),
        byUnindexed(p),
        eb.or([eb(p.q, '=', sql.lit('')), contains(p)]),
      ]),
    ),
  ),
}
