import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { PREPARED } from '../src/db/postgres/append.ts'
import { computeColumns } from '../src/db/postgres/computed-columns.ts'
import { writeMessages } from '../tools/corpus.ts'

const run = promisify(execFile)

/** As many different texts and senders as the load posts. */
const SAMPLE = 10_000

/** When the transaction began, in milliseconds, as a sender would write it, but for the Z. A colon would be pgbench's. */
const NOW = `replace(left((now() at time zone 'utc')::text, 23), ' ', 'T')`

/** Rows as the service would hand them over, but for their ids, which a sequence makes new each time. */
const INPUT = `(
  select 'pgbench-' || nextval('bench_ids'), from_msisdn, to_msisdn, ts || 'Z', text, folded, search_key, ts || 'Z', rtrim(ts, '0'), number
  from (select ${NOW} as ts) as clock, generate_series(1, :batch::int) as number
  join bench_sample on n = (:start::int + number) % ${SAMPLE}
) as input`

/** The statement that the service stores a batch with, its rows made by the server rather than sent. */
function batchScript(): string {
  const [statement = ''] = PREPARED.keys()
  const script = statement
    .replace(/unnest\(.*\) with ordinality as input/, INPUT)
    .replaceAll(/\$\d+/g, '0')
  if (script === statement) throw new Error('the statement of the service takes other rows')
  return `\\set start random(1, ${SAMPLE})\n${script.replaceAll('\n', ' ')};\n`
}

/** The least that stores a message: one row, one commit. */
const SINGLE_SCRIPT = `\\set start random(1, ${SAMPLE})
insert into messages (batch, ordinal, message_id, from_msisdn, to_msisdn, ts, text, folded, search_key, created_at, ts_key)
select nextval('batches'), 1, 'pgbench-' || nextval('bench_ids'), from_msisdn, to_msisdn, ts || 'Z', text, folded, search_key, ts || 'Z', rtrim(ts, '0')
from (select ${NOW} as ts) as clock, bench_sample where n = :start::int % ${SAMPLE} on conflict do nothing;
`

/** What pgbench did. */
export interface PgbenchRound {
  /** Messages a second. */
  rate: number
  /** The mean time of a statement. */
  latencyMs: number
}

/** PostgreSQL's own load generator on a database that the service made. */
export class Pgbench {
  readonly #program: string
  readonly #url: string
  readonly #folder: string

  private constructor(program: string, url: string, folder: string) {
    this.#program = program
    this.#url = url
    this.#folder = folder
  }

  /** Readies the database. @param folder for the scripts. */
  static async create(program: string, url: string, folder: string): Promise<Pgbench> {
    const client = new pg.Client(url)
    await client.connect()
    await client.query('create sequence bench_ids cache 1000')
    await client.query(
      'create table bench_sample (n integer primary key, from_msisdn text, to_msisdn text, text text, folded text, search_key text)',
    )
    const messages = [...writeMessages(SAMPLE)]
    const columns = messages.map(computeColumns)
    await client.query(
      'insert into bench_sample select * from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])',
      [
        messages.map((_, n) => n),
        messages.map(({ from_msisdn }) => from_msisdn),
        messages.map(({ to_msisdn }) => to_msisdn),
        messages.map(({ text }) => text),
        columns.map(({ folded }) => folded),
        columns.map(({ search_key }) => search_key),
      ],
    )
    await client.query('analyze bench_sample')
    await client.end()
    writeFileSync(join(folder, 'batch.sql'), batchScript())
    writeFileSync(join(folder, 'single.sql'), SINGLE_SCRIPT)
    return new Pgbench(program, url, folder)
  }

  /** One round of batches of that many messages, or of single messages. */
  async round(order: {
    clients: number
    batch?: number | undefined
    seconds: number
  }): Promise<PgbenchRound> {
    const { clients, batch, seconds } = order
    const script = join(this.#folder, batch === undefined ? 'single.sql' : 'batch.sql')
    const { stdout } = await run(
      this.#program,
      [
        ...['--no-vacuum', '--protocol', 'prepared', '--file', script],
        ...['--client', String(clients), '--time', String(seconds)],
        ...(batch === undefined ? [] : ['--define', `batch=${batch}`]),
        this.#url,
      ],
      // As the service has it; and rows of the sample are looked up one by one.
      {
        env: {
          ...process.env,
          PGOPTIONS: '-c jit=off -c enable_hashjoin=off -c enable_mergejoin=off',
        },
      },
    )
    const rate = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1])
    const latencyMs = Number(/^latency average = ([\d.]+) ms/m.exec(stdout)?.[1])
    return { rate: rate * (batch ?? 1), latencyMs }
  }
}
