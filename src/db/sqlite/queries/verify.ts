import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely'
import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import { CHECKSUM_MODULUS } from '../offline/trigram-recount.ts'
import type { SqliteSchema } from '../schema.ts'
import { build, compile, parameter } from './compile.ts'
import { bucketOf } from './indexing.ts'

/** What verifying reads besides the tables: FTS5's own record of its rows, and two temporary tables. */
type VerifySchema = {
  /** A row for each that FTS5 holds: `sz` is a varint, the number of its tokens. */
  trigrams_docsize: { id: number; sz: Buffer }
  /** Every term of the index: rows that have it, and how often it occurs. */
  'temp.vocabulary': { term: string; doc: number; cnt: number }
  /** Every occurrence of a term: its row, and its place there. */
  'temp.occurrences': { term: string; doc: number; offset: number }
  /** The same as counted from the texts, with a checksum of all occurrences; then less what the index has. */
  'temp.recount': { term: string; doc: number; cnt: number; checksum: number }
}

const all = build.withTables<VerifySchema>()

/** Made before the snapshot, on the connection that verifies. */
export const VERIFY_TABLES = `
  create virtual table temp.vocabulary using fts5vocab (main, trigrams, row);
  create virtual table temp.occurrences using fts5vocab (main, trigrams, instance);
  create temp table recount (term text primary key, doc integer, cnt integer, checksum integer) without rowid;
`

/** Messages up to the watermark. */
const derived = build.selectFrom('messages').where('seq', '<=', parameter<number>('watermark'))

/** Checksum of a term: where it occurs in which rows, in any order. `TrigramRecount` computes the same from texts. */
const CHECKSUM = sql<number>`(
  select sum((doc * (offset + 1)) % ${sql.lit(CHECKSUM_MODULUS)}) from temp.occurrences
  where occurrences.term = vocabulary.term)`

/** A row for each bucket or sender: its name, and how many messages it has. */
type CountQuery = SelectQueryBuilder<
  SqliteSchema,
  keyof SqliteSchema,
  { key: string; count: number }
>

/** How many rows the condition holds for. */
function countIf(condition: RawBuilder<boolean>): RawBuilder<number> {
  return sql<number>`coalesce(sum(${condition}), 0)`
}

/** Compares a table of counters with the same counted from messages: rows that lack, are too many, count wrongly. */
function counters(kept: CountQuery, keyOfMessage: RawBuilder<string>) {
  const recounted = derived
    .select((eb) => [keyOfMessage.as('key'), eb.fn.countAll<number>().as('count')])
    .groupBy('key')
  const [none, count] = [sql<number | null>`null`, sql<number | null>`count`]
  // Not a full join, which would look through all rows of the one for each row of the other.
  const both = build
    .selectFrom(kept.as('kept'))
    .select(['kept.key', count.as('kept'), none.as('recounted')])
    .unionAll(
      build
        .selectFrom(recounted.as('recounted'))
        .select(['recounted.key', none.as('kept'), count.as('recounted')]),
    )
  const byKey = build
    .selectFrom(both.as('both'))
    .select((eb) => [
      eb.fn.max('both.kept').as('kept'),
      eb.fn.max('both.recounted').as('recounted'),
    ])
    .groupBy('both.key')
  return compile(
    build
      .selectFrom(byKey.as('counts'))
      .select([
        countIf(sql`kept is null`).as('missing'),
        countIf(sql`recounted is null`).as('surplus'),
        countIf(sql`kept <> recounted`).as('wrong'),
      ]),
  )
}

/** What the derived tables are compared by; see the migration that made them. */
export const verifyQueries = {
  watermark: compile(build.selectFrom('watermark').select(['seq', 'messages', 'senders'])),
  newest: compile(build.selectFrom('messages').select((eb) => eb.fn.max('seq').as('seq'))),
  totals: compile(
    derived.select((eb) => [
      eb.fn.countAll<number>().as('messages'),
      eb.fn.count<number>('from_msisdn').distinct().as('senders'),
    ]),
  ),
  /** By the range of the primary key: reads only these rows. */
  pending: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('messages'))
      .where('seq', '>', parameter<number>('watermark')),
  ),
  senders: counters(
    build.selectFrom('senders').select(['msisdn as key', 'count']),
    sql`${sql.ref('messages.from_msisdn')}`,
  ),
  days: counters(build.selectFrom('days').select(['day as key', 'count']), bucketOf(DAY_LENGTH)),
  minutes: counters(
    build.selectFrom('minutes').select(['minute as key', 'count']),
    bucketOf(MINUTE_LENGTH),
  ),
  /** Not by the index of instants, which has keys only. */
  wrongKeys: compile(
    build
      .selectFrom(
        sql<{ count: number }>`(
        select count(*) as count from messages not indexed where ts_key <> instant_key(ts))`.as(
          'wrong',
        ),
      )
      .select('count'),
  ),
  /** A right row names its message by all of its fields, so that there is at most one for each message. */
  senderMessages: compile(
    build
      .selectFrom('sender_messages as kept')
      .leftJoin('messages', (join) =>
        join
          .onRef('messages.seq', '=', 'kept.seq')
          .onRef('messages.ts_key', '=', 'kept.ts_key')
          .onRef('messages.message_id', '=', 'kept.message_id')
          .on('messages.seq', '<=', parameter<number>('watermark')),
      )
      .leftJoin('senders', (join) =>
        join
          .onRef('senders.id', '=', 'kept.sender')
          .onRef('senders.msisdn', '=', 'messages.from_msisdn'),
      )
      .select((eb) => [
        eb.fn.countAll<number>().as('rows'),
        eb.fn.count<number>('senders.id').as('right'),
      ]),
  ),

  /** Texts in the order of arrival, with what FTS5 has recorded of each. */
  texts: compile(
    all
      .selectFrom('messages')
      .leftJoin('trigrams_docsize', 'trigrams_docsize.id', 'messages.seq')
      .select(['messages.seq', 'messages.text', 'trigrams_docsize.sz'])
      .where('messages.seq', '>', parameter<number>('after'))
      .where('messages.seq', '<=', parameter<number>('watermark'))
      .orderBy('messages.seq')
      .limit(parameter<number>('limit')),
  ),
  /** Rows of the index that are no message's up to the watermark. */
  strayRows: compile(
    all
      .selectFrom('trigrams_docsize')
      .leftJoin('messages', (join) =>
        join
          .onRef('messages.seq', '=', 'trigrams_docsize.id')
          .on('messages.seq', '<=', parameter<number>('watermark')),
      )
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('messages.seq', 'is', null),
  ),
  addTerm: compile(
    all
      .insertInto('temp.recount')
      .values({
        term: parameter('term'),
        doc: parameter('doc'),
        cnt: parameter('cnt'),
        checksum: parameter('checksum'),
      })
      .onConflict((conflict) =>
        conflict.column('term').doUpdateSet({
          doc: sql`recount.doc + excluded.doc`,
          cnt: sql`recount.cnt + excluded.cnt`,
          checksum: sql`recount.checksum + excluded.checksum`,
        }),
      ),
  ),
  /** What is left is zero where the index and the texts agree. */
  subtractVocabulary: compile(
    all
      .insertInto('temp.recount')
      .columns(['term', 'doc', 'cnt', 'checksum'])
      .expression(
        all
          .selectFrom('temp.vocabulary')
          .select([
            'term',
            sql<number>`-doc`.as('doc'),
            sql<number>`-cnt`.as('cnt'),
            sql<number>`-${CHECKSUM}`.as('checksum'),
          ])
          // Without a condition, SQLite takes what follows for that of a join.
          .where(sql<boolean>`true`),
      )
      .onConflict((conflict) =>
        conflict.column('term').doUpdateSet({
          doc: sql`recount.doc + excluded.doc`,
          cnt: sql`recount.cnt + excluded.cnt`,
          checksum: sql`recount.checksum + excluded.checksum`,
        }),
      ),
  ),
  wrongTerms: compile(
    all
      .selectFrom('temp.recount')
      .select([
        countIf(sql`doc <> 0 or cnt <> 0`).as('counted'),
        countIf(sql`doc = 0 and cnt = 0 and checksum % ${sql.lit(CHECKSUM_MODULUS)} <> 0`).as(
          'elsewhere',
        ),
      ]),
  ),
}

/** Gives every message the sort key of its timestamp. */
export const repairKeys = compile(
  build
    .updateTable('messages')
    .set({ ts_key: sql`instant_key(ts)` })
    .where(sql<boolean>`ts_key <> instant_key(ts)`),
)

/** Everything that is derived, made as if no message had been met yet; in this order, in one transaction. */
export const resetQueries = {
  senders: compile(build.deleteFrom('senders')),
  senderMessages: compile(build.deleteFrom('sender_messages')),
  days: compile(build.deleteFrom('days')),
  minutes: compile(build.deleteFrom('minutes')),
  // FTS5 without its content takes no plain delete of everything.
  trigrams: compile(
    build.insertInto('trigrams').values({ rowid: 0, text: '', trigrams: 'delete-all' }),
  ),
  watermark: compile(build.deleteFrom('watermark')),
  start: compile(build.insertInto('watermark').values({ id: 1, seq: 0, messages: 0, senders: 0 })),
}
