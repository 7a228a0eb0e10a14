import { type Expression, type SqlBool, sql } from 'kysely'
import type { MessageFilter } from '../../../message/filter.ts'
import { MESSAGE_COLUMNS } from '../../../message/message.ts'
import { build, compile, parameter } from './compile.ts'
import { alive, byRecipient, bySender, contains } from './page.ts'

/** The sort key without its index: a scan reads rows in order of arrival. */
const KEY = sql<string>`+${sql.ref('messages.ts_key')}`

/** The next messages after a position, in order of arrival. A scan builds it once. */
export function scanQuery({ from, to, q }: MessageFilter) {
  const conditions = {
    from: from === undefined ? undefined : bySender,
    to: to === undefined ? undefined : byRecipient,
    // A missing bound stands for the end of all keys.
    since: sql<boolean>`${KEY} >= ${parameter('since')}`,
    until: sql<boolean>`${KEY} < ${parameter('until')}`,
    q: q ? contains : undefined,
  } satisfies Record<keyof MessageFilter, Expression<SqlBool> | undefined>
  const given = Object.values(conditions).filter((condition) => condition !== undefined)
  return compile(
    build
      .selectFrom('messages')
      .select(['seq', ...MESSAGE_COLUMNS])
      .where('seq', '>', parameter<number>('after'))
      .where((eb) => eb.and([alive, ...given]))
      .orderBy('seq')
      .limit(parameter<number>('limit')),
  )
}
