import { once } from 'node:events'
import pg, { type ClientBase } from 'pg'

/** Methods of a connection that the types of the driver omit. */
interface RawConnection extends pg.Connection {
  connect(port: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
}

/** Properties of a client that the types of the driver omit. */
interface SessionKey {
  host: string
  port: number
  ssl: pg.ConnectionConfig['ssl']
  sslNegotiation: 'postgres' | 'direct'
  processID: number | null
  secretKey: number | null
}

/**
 * Cancels the statement that the server runs for a client, with a CancelRequest of the protocol.
 * Unlike `pg_cancel_backend`, it works through a pooler, which forwards it to the right server process. Never rejects.
 * @param client must stay connected meanwhile: a pooler discards the keys of closed connections.
 * @param timeoutMs milliseconds after which it resolves in any case.
 */
export async function cancelRequest(client: ClientBase, timeoutMs: number): Promise<void> {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = client as ClientBase &
    SessionKey
  if (processID === null || secretKey === null) return
  const options = { ssl, sslNegotiation }
  const connection = new pg.Connection(options) as RawConnection
  const timer = setTimeout(() => connection.stream.destroy(), timeoutMs)
  const cancel = (): void => connection.cancel(processID, secretKey)
  if (!ssl) connection.on('connect', cancel)
  else if (sslNegotiation !== 'direct') connection.on('connect', () => connection.requestSsl())
  connection.on('sslconnect', cancel)
  try {
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
    // The server closes the connection once it has processed the request.
    await once(connection, 'end')
  } catch {
    // The server is unreachable; its statement timeout applies.
  } finally {
    clearTimeout(timer)
    connection.on('error', () => {})
    connection.stream.destroy()
  }
}
