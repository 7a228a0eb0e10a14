import type { ClientBase } from 'pg'

/** Limits of a session that the server enforces. */
export interface SessionLimits {
  /** Milliseconds for one statement; 0 for a session whose work may take any time. */
  statementMs: number
  /** Milliseconds that a statement waits for a lock; 0 for no limit of its own. */
  lockMs: number
}

/** Milliseconds that an open transaction may wait for its client. */
const IDLE_IN_TRANSACTION_MS = 5000

/** Milliseconds that a transaction may take beyond the limit of one statement. */
const TRANSACTION_MARGIN_MS = 1000

/** Milliseconds to wait for an acknowledgement of what was sent before the server gives the connection up. */
const TCP_USER_TIMEOUT_MS = 20_000
const LONG_RUNNING_TCP_USER_TIMEOUT_MS = 60_000

/**
 * Settings that the statements rely on, whatever the defaults of the server, the database and the role. Not among them:
 * `search_path`, which chooses the schema; what guides the planner; and `default_transaction_read_only`, with which an
 * operator protects a database, and which the service reports by 503.
 */
const FIXED = {
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  default_transaction_isolation: 'read committed',
  // Anything else returns a random part of what a search finds.
  gin_fuzzy_search_limit: '0',
  // Compiling a plan would cost more than what runs here.
  jit: 'off',
  // The pool closes idle connections. The server would close one while a statement is on its way there.
  idle_session_timeout: '0',
  // The server notices within half a minute that a client is unreachable, and releases its locks.
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
}

function limitSettings({ statementMs, lockMs }: SessionLimits): Record<string, number> {
  const limited = statementMs > 0
  return {
    statement_timeout: statementMs,
    lock_timeout: lockMs,
    idle_in_transaction_session_timeout: limited ? IDLE_IN_TRANSACTION_MS : 0,
    transaction_timeout: limited ? statementMs + TRANSACTION_MARGIN_MS : 0,
    tcp_user_timeout: limited ? TCP_USER_TIMEOUT_MS : LONG_RUNNING_TCP_USER_TIMEOUT_MS,
  }
}

/**
 * Leaves out what the server does not know, such as `transaction_timeout` before version 17. A commit is on disk
 * before it is acknowledged; `remote_apply` guarantees more and stays.
 */
const APPLY = `
  select set_config('synchronous_commit',
    case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, false)
  union all
  select set_config(name, value, false) from unnest($1::text[], $2::text[]) as setting (name, value)
  where current_setting(name, true) is not null`

/**
 * Sets everything that the statements rely on, in one statement: a pooler passes that on, unlike start-up parameters.
 * @param withinMs after which it rejects. @throws what the server or the connection reports.
 */
export async function applySettings(
  client: ClientBase,
  limits: SessionLimits,
  withinMs: number,
): Promise<void> {
  const settings = Object.entries({ ...FIXED, ...limitSettings(limits) })
  const values = [settings.map(([name]) => name), settings.map(([, value]) => String(value))]
  const query = { text: APPLY, values, query_timeout: withinMs }
  await client.query(query)
}
