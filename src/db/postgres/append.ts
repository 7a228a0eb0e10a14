import { randomBytes } from 'node:crypto'
import { type SqlBool, sql } from 'kysely'
import { DETAIL_COLUMNS, MESSAGE_COLUMNS } from '../../message/columns.ts'
import { DEFAULT_DETAILS, type NewMessage, type StoredMessage } from '../../message/message.ts'
import type { AppendOutcome } from '../message-store.ts'
import { computeColumns } from './computed-columns.ts'
import type { Session } from './pool.ts'
import { build } from './queries/build.ts'

/** Columns of the batch, each of which is one array parameter of the statement. */
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
  ...DETAIL_COLUMNS,
] as const

/** A row to insert, without its batch and ordinal. */
type Row = Record<(typeof COLUMNS)[number], string | null>

/** Parameters for compiling the statement; each execution passes its own arrays. */
const NO_ARRAYS = COLUMNS.map((): (string | null)[] => [])

const input = sql<Record<(typeof COLUMNS)[number], string> & { ordinal: number }>`
  unnest(${sql.join(NO_ARRAYS.map((array) => sql`${array}::text[]`))}) with ordinality`.as<'input'>(
  sql`input(${sql.join([...COLUMNS, 'ordinal'].map((column) => sql.ref(column)))})`,
)

/** The id was not erased. No digest is computed while nothing was ever erased. */
const isNotErased = sql<SqlBool>`(
  (select not exists (select 1 from erased_ids))
  or not exists (select 1 from erased_ids where digest = keyed_digest(input.message_id)))`

/**
 * Inserts a batch and its row of `pending_batches`, in one statement.
 * Ids are inserted in ascending order, so that concurrent batches that share ids wait for each other without deadlock.
 */
const APPEND = build
  .with(
    (cte) => cte('arrival').materialized(),
    (db) => db.selectNoFrom(sql<number>`nextval('batches')`.as('batch')),
  )
  .with('inserted', (db) =>
    db
      .insertInto('messages')
      .columns(['batch', 'ordinal', ...COLUMNS])
      .expression((eb) =>
        eb
          .selectFrom(['arrival', input])
          .select(['arrival.batch', 'input.ordinal', ...COLUMNS.map((c) => `input.${c}` as const)])
          .where(isNotErased)
          .orderBy(sql`input.message_id collate "C"`),
      )
      .onConflict((conflict) => conflict.column('message_id').doNothing())
      .returning(['ordinal']),
  )
  .with('pending', (db) =>
    db
      .insertInto('pending_batches')
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
  .select('ordinal')
  .compile()

/** Names of the statements that each connection prepares once, by their text. */
export const PREPARED: ReadonlyMap<string, string> = new Map([[APPEND.sql, 'append']])

function sameContent(a: StoredMessage, b: StoredMessage): boolean {
  return (
    a.from_msisdn === b.from_msisdn &&
    a.to_msisdn === b.to_msisdn &&
    a.ts === b.ts &&
    a.text === b.text
  )
}

/** Returns the stored messages with these ids, by id. */
async function findStored(session: Session, ids: string[]): Promise<Map<string, StoredMessage>> {
  const rows = await session
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where('message_id', '=', sql<string>`any(${ids}::text[])`)
    .execute()
  return new Map(rows.map((row) => [row.message_id, row]))
}

/** Inserts messages with distinct ids. @returns the ordinals, from 1, of those that were created. */
async function insert(session: Session, messages: NewMessage[]): Promise<{ ordinal: number }[]> {
  const rows = messages.map(
    (message): Row => ({
      ...DEFAULT_DETAILS,
      ...message,
      ...computeColumns(message),
    }),
  )
  const parameters = COLUMNS.map((column) => rows.map((row) => row[column]))
  return (await session.executeQuery<{ ordinal: number }>({ ...APPEND, parameters })).rows
}

/**
 * Stores a batch durably, all or nothing.
 * @returns the outcome of each message, and the number of messages created.
 */
export async function append(
  session: Session,
  batch: readonly NewMessage[],
): Promise<{ outcomes: AppendOutcome[]; created: number }> {
  const firsts = new Map<string, NewMessage>()
  for (const message of batch) {
    if (!firsts.has(message.message_id)) firsts.set(message.message_id, message)
  }
  const unique = [...firsts.values()]
  const rows = await insert(session, unique)
  if (rows.length === batch.length) {
    return { outcomes: batch.map(() => 'created'), created: batch.length }
  }

  const created = new Set(rows.map(({ ordinal }) => unique[Number(ordinal) - 1]))
  const knownIds = unique
    .filter((message) => !created.has(message))
    .map((message) => message.message_id)
  const known =
    knownIds.length === 0 ? new Map<string, StoredMessage>() : await findStored(session, knownIds)
  const outcomes = batch.map((message): AppendOutcome => {
    const first = firsts.get(message.message_id)
    const isNew = first && created.has(first)
    if (isNew && message === first) return 'created'
    // An id that is neither new nor stored was erased, or was removed since the insert.
    const stored = isNew ? first : known.get(message.message_id)
    return stored && !sameContent(message, stored) ? 'conflict' : 'duplicate'
  })
  return { outcomes, created: rows.length }
}

/** Runs the statement with an empty batch. @throws if a table, a column or a privilege is missing. */
export async function checkAppend(session: Session): Promise<void> {
  await insert(session, [])
}

/**
 * Size of the trial batch.
 * Ids are so long that the table grows by about 100 KiB, and each index that contains them by more.
 */
const TRIAL_MESSAGES = 64
const TRIAL_ID_BYTES = 1000

/** Inserts a trial batch and rolls it back. @throws if the disk is full. */
export async function tryAppend(session: Session): Promise<void> {
  const instant = '1970-01-01T00:00:00Z'
  const messages = Array.from({ length: TRIAL_MESSAGES }, () => ({
    message_id: `readiness check ${randomBytes(TRIAL_ID_BYTES).toString('base64')}`,
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
