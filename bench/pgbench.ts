import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { PREPARED } from '../src/db/postgres/append.ts'
import { fold } from '../src/message/fold.ts'
import { writeMessages } from './corpus.ts'

const run = promisify(execFile)

/** Number of different texts and senders, as many as the load generator has. */
const SAMPLE = 10_000

/**
 * Start of the transaction as a timestamp with milliseconds, without the Z.
 *
 * Built without a format string, as pgbench would take `:MI` for a variable.
 */
const NOW = `replace(left((now() at time zone 'utc')::text, 23), ' ', 'T')`

/** The input rows of the statement; ids come from a sequence, so that each is new. */
const INPUT = `(
  select 'pgbench-' || nextval('bench_ids'), from_msisdn, to_msisdn, ts || 'Z', text, folded, ts || 'Z', rtrim(ts, '0'), number
  from (select ${NOW} as ts) as clock, generate_series(1, :batch::int) as number
  join bench_sample on n = (:start::int + number) % ${SAMPLE}
) as input`

/** Returns the statement that stores a batch, with rows that the server generates instead of parameters. */
function batchScript(): string {
  const [statement = ''] = PREPARED.keys()
  const script = statement
    .replace(/unnest\(.*\) with ordinality as input/, INPUT)
    .replaceAll(/\$\d+/g, '0')
  if (script === statement)
    throw new Error('the append statement has no unnest(…) with ordinality as input')
  return `\\set start random(1, ${SAMPLE})\n${script.replaceAll('\n', ' ')};\n`
}

/** The minimum that stores a message: one row and one commit. */
const SINGLE_SCRIPT = `\\set start random(1, ${SAMPLE})
insert into messages (batch, place, message_id, from_msisdn, to_msisdn, ts, text, folded, created_at, ts_key)
select nextval('batches'), 1, 'pgbench-' || nextval('bench_ids'), from_msisdn, to_msisdn, ts || 'Z', text, folded, ts || 'Z', rtrim(ts, '0')
from (select ${NOW} as ts) as clock, bench_sample where n = :start::int % ${SAMPLE} on conflict do nothing;
`

/** The result of one run of pgbench. */
export interface PgbenchRound {
  /** Messages a second. */
  rate: number
  /** Mean latency of a statement. */
  latencyMs: number
}

/** Runs pgbench, PostgreSQL's load generator, on a database with the service's schema. */
export class Pgbench {
  readonly #program: string
  readonly #url: string
  readonly #folder: string

  private constructor(program: string, url: string, folder: string) {
    this.#program = program
    this.#url = url
    this.#folder = folder
  }

  /** Creates the sample table and the scripts. @param folder for the scripts. */
  static async create(program: string, url: string, folder: string): Promise<Pgbench> {
    const client = new pg.Client(url)
    await client.connect()
    await client.query('create sequence bench_ids cache 1000')
    await client.query(
      'create table bench_sample (n integer primary key, from_msisdn text, to_msisdn text, text text, folded text)',
    )
    const messages = [...writeMessages(SAMPLE)]
    await client.query(
      'insert into bench_sample select * from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[])',
      [
        messages.map((_, n) => n),
        messages.map(({ from_msisdn }) => from_msisdn),
        messages.map(({ to_msisdn }) => to_msisdn),
        messages.map(({ text }) => text),
        messages.map(({ text }) => (text === null ? null : fold(text))),
      ],
    )
    await client.query('analyze bench_sample')
    await client.end()
    writeFileSync(join(folder, 'batch.sql'), batchScript())
    writeFileSync(join(folder, 'single.sql'), SINGLE_SCRIPT)
    return new Pgbench(program, url, folder)
  }

  /** Runs one round, with batches of `batch` messages or, without it, single messages. */
  async round(options: {
    clients: number
    batch?: number | undefined
    seconds: number
  }): Promise<PgbenchRound> {
    const { clients, batch, seconds } = options
    const script = join(this.#folder, batch === undefined ? 'single.sql' : 'batch.sql')
    const { stdout } = await run(
      this.#program,
      [
        ...['--no-vacuum', '--protocol', 'prepared', '--file', script],
        ...['--client', String(clients), '--time', String(seconds)],
        ...(batch === undefined ? [] : ['--define', `batch=${batch}`]),
        this.#url,
      ],
      // JIT is off as in the service. Without hash and merge joins, sample rows are looked up by index.
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
