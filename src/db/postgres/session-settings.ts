import type { ClientBase } from 'pg'

/** Time limits of a session, enforced by the server. */
export interface SessionLimits {
  /** Milliseconds for one statement; 0 for no limit, also of transactions. */
  statementMs: number
  /** Milliseconds that a statement may wait for a lock; 0 for no limit. */
  lockMs: number
}

/** Milliseconds that a transaction may be idle. */
const IDLE_IN_TRANSACTION_MS = 5000

/** Milliseconds that a transaction may take beyond the limit of one statement. */
const TRANSACTION_MARGIN_MS = 1000

/** Milliseconds that sent data may stay unacknowledged before the server closes the connection. */
const TCP_USER_TIMEOUT_MS = 20_000
const LONG_RUNNING_TCP_USER_TIMEOUT_MS = 60_000

/**
 * Settings that the statements rely on.
 * They override the defaults of the server, the database and the role. The operator controls the settings of the
 * planner, `search_path`, which selects the schema, and `default_transaction_read_only`, under which posts get 503.
 */
const FIXED = {
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  default_transaction_isolation: 'read committed',
  // Any other value makes searches return a random subset of the matches.
  gin_fuzzy_search_limit: '0',
  // Compilation would take longer than these queries run.
  jit: 'off',
  // The pool closes idle connections. If the server did, it might do so just as the pool sends a statement.
  idle_session_timeout: '0',
  // The server detects within half a minute that a client is unreachable, and releases its locks.
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
 * Sets `synchronous_commit` and those of the given settings that the server has.
 * `remote_apply` stays, since it guarantees more than `on`. `transaction_timeout` does not exist before version 17.
 */
const APPLY = `
  select set_config('synchronous_commit',
    case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, false)
  union all
  select set_config(name, value, false) from unnest($1::text[], $2::text[]) as setting (name, value)
  where current_setting(name, true) is not null`

/**
 * Applies the settings and limits to a session.
 * It uses a statement, since poolers reject or ignore most start-up parameters.
 * @param timeoutMs milliseconds after which it rejects.
 * @throws the error of the server or the connection.
 */
export async function applySettings(
  client: ClientBase,
  limits: SessionLimits,
  timeoutMs: number,
): Promise<void> {
  const settings = Object.entries({ ...FIXED, ...limitSettings(limits) })
  const values = [settings.map(([name]) => name), settings.map(([, value]) => String(value))]
  const query = { text: APPLY, values, query_timeout: timeoutMs }
  await client.query(query)
}
