import pg from 'pg'
import { startPlainServer } from './plain.ts'

/** One insert per request over a pool of 10 connections. Durable: `synchronous_commit` is on by default. */
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })
await pool.query(`
  create table messages (
    message_id text primary key, from_msisdn text not null, to_msisdn text not null,
    ts text not null, text text, created_at timestamptz not null default now()
  );
  create index on messages (ts, message_id);
  create index on messages (from_msisdn)`)

await startPlainServer(
  async ({ message_id, from, to, ts, text }) => {
    await pool.query({
      name: 'insert',
      text: `insert into messages (message_id, from_msisdn, to_msisdn, ts, text)
        values ($1, $2, $3, $4, $5) on conflict (message_id) do nothing`,
      values: [message_id, from, to, ts, text ?? null],
    })
  },
  async () => {
    const { rows } = await pool.query<{ count: string }>('select count(*) from messages')
    return Number(rows[0]?.count)
  },
  () => pool.end(),
)
