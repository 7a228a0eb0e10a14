import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { fold } from '../../message/fold.ts'
import { instantKey } from '../../message/instant.ts'
import { MESSAGE_COLUMNS, type StoredMessage } from '../../message/message.ts'
import type { AppendOutcome } from '../message-store.ts'
import type { Session } from './pool.ts'
import { build } from './queries/build.ts'
import { storedSearchKey } from './search-key.ts'

/** What the server is handed of a batch: a list for each column. */
const COLUMNS = [
  'message_id',
  'from_msisdn',
  'to_msisdn',
  'ts',
  'text',
  'folded',
  'search_key',
  'created_at',
  'ts_key',
] as const

/** A message as it is stored, but for its place. */
type Row = Record<(typeof COLUMNS)[number], string | null>

/** Whatever is there when the statement is built; each run brings its own. */
const NO_ARRAYS = COLUMNS.map((): (string | null)[] => [])

const input = sql<Record<(typeof COLUMNS)[number], string> & { place: number }>`
  unnest(${sql.join(NO_ARRAYS.map((array) => sql`${array}::text[]`))}) with ordinality`.as<'input'>(
  sql`input(${sql.join([...COLUMNS, 'place'].map((column) => sql.ref(column)))})`,
)

/**
 * Stores a batch in one statement, and notes it as uncounted. Ids are met in order, so that batches which share some
 * wait for each other and never in a circle. Compiled once: its parameters are the arrays.
 */
const APPEND = build
  .with(
    (cte) => cte('arrival').materialized(),
    (db) => db.selectNoFrom(sql<number>`nextval('batches')`.as('batch')),
  )
  .with('inserted', (db) =>
    db
      .insertInto('messages')
      .columns(['batch', 'place', ...COLUMNS])
      .expression((eb) =>
        eb
          .selectFrom(['arrival', input])
          .select(['arrival.batch', 'input.place', ...COLUMNS.map((c) => `input.${c}` as const)])
          .orderBy(sql`input.message_id collate "C"`),
      )
      .onConflict((conflict) => conflict.column('message_id').doNothing())
      .returning(['place']),
  )
  .with('noted', (db) =>
    db
      .insertInto('uncounted')
      .columns(['batch', 'messages'])
      .expression((eb) =>
        eb
          .selectFrom('inserted')
          .select((eb) => [
            eb.selectFrom('arrival').select('arrival.batch').as('batch'),
            eb.fn.countAll<number>().as('messages'),
          ])
          .having((eb) => eb(eb.fn.countAll(), '>', eb.lit(0))),
      ),
  )
  .selectFrom('inserted')
  .select('place')
  .compile()

/** Statements that are prepared once on each connection: their names by their texts. */
export const PREPARED: ReadonlyMap<string, string> = new Map([[APPEND.sql, 'append']])

function sameContent(a: StoredMessage, b: StoredMessage): boolean {
  return (
    a.from_msisdn === b.from_msisdn &&
    a.to_msisdn === b.to_msisdn &&
    a.ts === b.ts &&
    a.text === b.text
  )
}

/** The messages with these ids, as far as they are stored. */
async function findStored(session: Session, ids: string[]): Promise<Map<string, StoredMessage>> {
  const rows = await session
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where('message_id', '=', sql<string>`any(${ids}::text[])`)
    .execute()
  return new Map(rows.map((row) => [row.message_id, row]))
}

/** Inserts messages, each id once. @returns the places of those that were created. */
async function insert(session: Session, messages: StoredMessage[]): Promise<{ place: number }[]> {
  const input = messages.map((message): Row => {
    const folded = message.text === null ? null : fold(message.text)
    return {
      ...message,
      folded,
      search_key: storedSearchKey(folded),
      ts_key: instantKey(message.ts) ?? '',
    }
  })
  const parameters = COLUMNS.map((column) => input.map((row) => row[column]))
  return (await session.executeQuery<{ place: number }>({ ...APPEND, parameters })).rows
}

/** Stores a batch durably, all or nothing. @returns each message's outcome, and how many were created. */
export async function append(
  session: Session,
  batch: readonly StoredMessage[],
): Promise<{ outcomes: AppendOutcome[]; created: number }> {
  const firsts = new Map<string, StoredMessage>()
  for (const message of batch) {
    if (!firsts.has(message.message_id)) firsts.set(message.message_id, message)
  }
  const unique = [...firsts.values()]
  const rows = await insert(session, unique)
  if (rows.length === batch.length) {
    return { outcomes: batch.map(() => 'created'), created: batch.length }
  }

  const created = new Set(rows.map(({ place }) => unique[Number(place) - 1]))
  const known = unique
    .filter((message) => !created.has(message))
    .map((message) => message.message_id)
  const before = known.length === 0 ? new Map() : await findStored(session, known)
  const outcomes = batch.map((message): AppendOutcome => {
    const first = firsts.get(message.message_id)
    if (message === first && created.has(message)) return 'created'
    const kept = before.get(message.message_id) ?? first
    return kept && !sameContent(message, kept) ? 'conflict' : 'duplicate'
  })
  return { outcomes, created: rows.length }
}

/** Runs the statement without messages. @throws where a table, a column or a privilege is missing. */
export async function checkAppend(session: Session): Promise<void> {
  await insert(session, [])
}

/** A batch of about 100 KiB: ids so long that the table and each index grow by pages. */
const REHEARSED = 64
const REHEARSED_ID_BYTES = 1000

/** Stores a batch and rolls it back. @throws where there is no room for it. */
export async function rehearseAppend(session: Session): Promise<void> {
  const instant = '1970-01-01T00:00:00Z'
  const messages = Array.from({ length: REHEARSED }, () => ({
    message_id: `readiness check ${randomBytes(REHEARSED_ID_BYTES).toString('base64')}`,
    from_msisdn: '',
    to_msisdn: '',
    ts: instant,
    text: null,
    created_at: instant,
  }))
  const transaction = await session.startTransaction().execute()
  await insert(transaction, messages)
  await transaction.rollback().execute()
}
