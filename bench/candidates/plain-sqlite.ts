import Database from 'better-sqlite3'
import { startPlainServer } from './plain.ts'

/** Inserts on the event loop, one commit per request. Durable: WAL with `synchronous = FULL`. */
const database = new Database(process.env.DATABASE_PATH ?? '')
database.pragma('journal_mode = WAL')
database.pragma('synchronous = FULL')
database.exec(`
  create table messages (
    message_id text primary key, from_msisdn text not null, to_msisdn text not null,
    ts text not null, text text, created_at text not null
  );
  create index messages_by_ts on messages (ts, message_id);
  create index messages_by_sender on messages (from_msisdn)`)
const insert = database.prepare(
  'insert into messages values (?, ?, ?, ?, ?, ?) on conflict (message_id) do nothing',
)
const count = database.prepare<[], number>('select count(*) from messages').pluck()

await startPlainServer(
  ({ message_id, from, to, ts, text }) => {
    insert.run(message_id, from, to, ts, text ?? null, new Date().toISOString())
  },
  () => count.get() ?? 0,
  () => {
    database.close()
  },
)
