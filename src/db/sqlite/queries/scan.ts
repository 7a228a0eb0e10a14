import { type Expression, type SqlBool, sql } from 'kysely'
import { build, compile, slot } from './compile.ts'
import { alive, bySender, contains } from './page.ts'

/** Without the index of instants: a scan meets rows by their place. */
const KEY = sql<string>`+${sql.ref('messages.ts_key')}`

/** What a scan is restricted by, besides a range of instants. */
export interface ScanShape {
  from: boolean
  q: boolean
}

function scanOf({ from, q }: ScanShape) {
  const conditions: Expression<SqlBool>[] = [
    q ? contains : alive,
    ...(from ? [bySender] : []),
    sql<boolean>`${KEY} >= ${slot('since')}`,
    sql<boolean>`${KEY} < ${slot('until')}`,
  ]
  return compile(
    build
      .selectFrom('messages')
      .select(['seq', 'message_id', 'from_msisdn', 'to_msisdn', 'ts', 'text', 'created_at'])
      .where('seq', '>', slot<number>('after'))
      .where((eb) => eb.and(conditions))
      .orderBy('seq')
      .limit(slot<number>('limit')),
  )
}

/** The next messages behind a place, in order of arrival, by the place of the shape. */
export const scanQueries = [
  scanOf({ from: false, q: false }),
  scanOf({ from: true, q: false }),
  scanOf({ from: false, q: true }),
  scanOf({ from: true, q: true }),
]

/** The place of a shape among all shapes. */
export function placeOfScan({ from, q }: ScanShape): number {
  return (from ? 1 : 0) + (q ? 2 : 0)
}
