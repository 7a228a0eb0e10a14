import {
  type AliasableExpression,
  type InsertQueryBuilder,
  type InsertResult,
  type SelectQueryBuilder,
  sql,
} from 'kysely'
import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import { CHECKSUM_MODULUS, type TermCount } from '../offline/trigram-recount.ts'
import type { SqliteSchema } from '../schema.ts'
import { build, compile, type Placeholders } from './compile.ts'
import { bucketOf, eb, isVisible } from './expressions.ts'
import { lastSeq } from './removal.ts'

/** Tables that only the verification reads: a shadow table of FTS5, and temporary tables. */
type VerifySchema = {
  /** One row for each row of the index: `sz` is the number of its tokens, as a varint. */
  trigrams_docsize: { id: number; sz: Buffer }
  /** The terms of the index: `doc` rows contain the term, `cnt` times in total. */
  'temp.vocabulary': { term: string; doc: number; cnt: number }
  /** The occurrences of terms in the index: the row `doc` contains the term at the position `offset`. */
  'temp.occurrences': { term: string; doc: number; offset: number }
  /** The terms of the texts, with a checksum of their occurrences; finally minus the terms of the index. */
  'temp.recount': TermCount
}

const buildVerify = build.withTables<VerifySchema>()

/** Creates the temporary tables of a verification. */
export const VERIFY_TABLES = `
  create virtual table temp.vocabulary using fts5vocab (main, trigrams, row);
  create virtual table temp.occurrences using fts5vocab (main, trigrams, instance);
  create temp table recount (term text primary key, doc integer, cnt integer, checksum integer) without rowid;
`

type Watermark = { watermark: number }

/** Messages up to the watermark: those that the counters and indexes must cover. */
function indexedMessages({ watermark }: Placeholders<Watermark>) {
  return build.selectFrom('messages').where('seq', '<=', watermark)
}

const COUNT = eb.fn.countAll<number>().as('count')

/** Rows of counters: the name of a bucket or sender, and the number of its messages. */
type CounterQuery = SelectQueryBuilder<
  SqliteSchema,
  keyof SqliteSchema,
  { key: string; count: number }
>

/** Counts the missing, surplus and wrong rows of a table of counters, compared with a recount. */
function compareCounters(stored: CounterQuery, keyOfMessage: AliasableExpression<string>) {
  return compile((p: Placeholders<Watermark>) => {
    const recounted = indexedMessages(p)
      .select([keyOfMessage.as('key'), COUNT])
      .groupBy('key')
    const none = eb.lit(null).$castTo<number | null>()
    // Not a full join, for which SQLite reads all rows of one side for each row of the other.
    const both = build
      .selectFrom(stored.as('stored'))
      .select((eb) => [
        'stored.key',
        eb.ref('stored.count').$castTo<number | null>().as('stored'),
        none.as('recounted'),
      ])
      .unionAll(
        build
          .selectFrom(recounted.as('recounted'))
          .select((eb) => [
            'recounted.key',
            none.as('stored'),
            eb.ref('recounted.count').$castTo<number | null>().as('recounted'),
          ]),
      )
    const byKey = build
      .selectFrom(both.as('both'))
      .select((eb) => [
        eb.fn.max('both.stored').as('stored'),
        eb.fn.max('both.recounted').as('recounted'),
      ])
      .groupBy('both.key')
    return build
      .selectFrom(byKey.as('counts'))
      .select(({ fn }) => [
        fn.countAll<number>().filterWhere('stored', 'is', null).as('missing'),
        fn.countAll<number>().filterWhere('recounted', 'is', null).as('surplus'),
        fn.countAll<number>().filterWhereRef('stored', '!=', 'recounted').as('wrong'),
      ])
  })
}

/**
 * The statements that compare the counters and indexes with the messages.
 * `SqliteSchema` describes the tables.
 */
export const verifyQueries = {
  watermark: compile(() =>
    build.selectFrom('watermark').select(['seq', 'trigrams', 'messages', 'senders']),
  ),
  lastSeq,
  totals: compile((p: Placeholders<Watermark>) =>
    indexedMessages(p).select((eb) => [
      eb.fn.countAll<number>().as('messages'),
      eb.fn.count<number>('from_msisdn').distinct().as('senders'),
    ]),
  ),
  pending: compile(({ watermark }: Placeholders<Watermark>) =>
    build.selectFrom('messages').select(COUNT).where('seq', '>', watermark),
  ),
  senders: compareCounters(
    build.selectFrom('senders').select(['msisdn as key', 'count']),
    eb.ref('messages.from_msisdn'),
  ),
  days: compareCounters(
    build.selectFrom('days').select(['day as key', 'count']),
    bucketOf(DAY_LENGTH),
  ),
  minutes: compareCounters(
    build.selectFrom('minutes').select(['minute as key', 'count']),
    bucketOf(MINUTE_LENGTH),
  ),
  /**
   * Messages whose sort key is not that of their timestamp.
   * Reads the table rather than an index, which may be corrupt.
   */
  wrongKeys: compile(() =>
    build
      .selectFrom('messages')
      .select(COUNT)
      .where((eb) => eb('ts_key', '!=', eb.fn<string>('instant_key', ['ts']))),
  ),
  /**
   * Counts the visible entries of the sender index, and the correct ones among them.
   * All fields of a correct entry are those of an indexed message.
   */
  senderEntries: compile(({ watermark }: Placeholders<Watermark>) =>
    build
      .selectFrom('sender_entries as stored')
      .leftJoin('sender_runs', 'sender_runs.run', 'stored.run')
      .leftJoin('messages', (join) =>
        join
          .onRef('messages.seq', '=', 'stored.seq')
          .onRef('messages.ts_key', '=', 'stored.ts_key')
          .onRef('messages.message_id', '=', 'stored.message_id')
          .on('messages.seq', '<=', watermark),
      )
      .leftJoin('senders', (join) =>
        join
          .onRef('senders.id', '=', 'stored.sender')
          .onRef('senders.msisdn', '=', 'messages.from_msisdn'),
      )
      .where((eb) => eb.or([isVisible, eb('sender_runs.run', 'is', null)]))
      .select((eb) => [
        eb.fn.countAll<number>().as('rows'),
        eb.fn.count<number>('senders.id').as('correct'),
      ]),
  ),

  /** Texts in the order of `seq`, with the number of tokens that FTS5 has recorded for each. */
  texts: compile((p: Placeholders<Watermark & { after: number; limit: number }>) =>
    buildVerify
      .selectFrom('messages')
      .leftJoin('trigrams_docsize', 'trigrams_docsize.id', 'messages.seq')
      .select(['messages.seq', 'messages.text', 'trigrams_docsize.sz'])
      .where('messages.seq', '>', p.after)
      .where('messages.seq', '<=', p.watermark)
      .orderBy('messages.seq')
      .limit(p.limit),
  ),
  /** Rows of the index without a message up to the watermark. */
  strayRows: compile(({ watermark }: Placeholders<Watermark>) =>
    buildVerify
      .selectFrom('trigrams_docsize')
      .leftJoin('messages', (join) =>
        join.onRef('messages.seq', '=', 'trigrams_docsize.id').on('messages.seq', '<=', watermark),
      )
      .select(COUNT)
      .where('messages.seq', 'is', null),
  ),
  addTerm: compile((count: Placeholders<TermCount>) =>
    addTerms(
      buildVerify.insertInto('temp.recount').values({
        term: count.term,
        doc: count.doc,
        cnt: count.cnt,
        checksum: count.checksum,
      }),
    ),
  ),
  /** Subtracts the terms of the index: all counts are zero afterwards if the index is correct. */
  subtractIndex: compile(() =>
    addTerms(
      buildVerify
        .insertInto('temp.recount')
        .columns(['term', 'doc', 'cnt', 'checksum'])
        .expression(
          buildVerify
            .selectFrom('temp.vocabulary as vocabulary')
            .select((eb) => [
              'term',
              eb.neg(eb.ref('doc')).as('doc'),
              eb.neg(eb.ref('cnt')).as('cnt'),
              eb
                .neg(
                  eb
                    .selectFrom('temp.occurrences as occurrences')
                    // The checksum that `TrigramRecount` computes of texts.
                    .select(
                      sql<number>`sum((doc * (offset + 1)) % ${sql.lit(CHECKSUM_MODULUS)})`.as(
                        'sum',
                      ),
                    )
                    .whereRef('occurrences.term', '=', 'vocabulary.term'),
                )
                .as('checksum'),
            ])
            // Without a condition SQLite reads `on conflict` as the condition of a join.
            .where(eb.lit(true)),
        ),
    ),
  ),
  /** Terms whose counts are wrong, and terms with the right counts in other rows or at other positions. */
  wrongTerms: compile(() =>
    buildVerify.selectFrom('temp.recount').select(({ fn, and, or, eb }) => {
      const isMiscounted = or([eb('doc', '!=', 0), eb('cnt', '!=', 0)])
      const isMisplaced = and([
        eb('doc', '=', 0),
        eb('cnt', '=', 0),
        eb(eb('checksum', '%', eb.lit(CHECKSUM_MODULUS)), '!=', 0),
      ])
      return [
        fn.countAll<number>().filterWhere(isMiscounted).as('miscounted'),
        fn.countAll<number>().filterWhere(isMisplaced).as('misplaced'),
      ]
    }),
  ),
}

/** Adds the counts of inserted terms to those that the table already contains. */
function addTerms(
  insert: InsertQueryBuilder<SqliteSchema & VerifySchema, 'temp.recount', InsertResult>,
) {
  return insert.onConflict((conflict) =>
    conflict.column('term').doUpdateSet((eb) => ({
      doc: eb('doc', '+', eb.ref('excluded.doc')),
      cnt: eb('cnt', '+', eb.ref('excluded.cnt')),
      checksum: eb('checksum', '+', eb.ref('excluded.checksum')),
    })),
  )
}
