import { once } from 'node:events'
import pg, { type ClientBase } from 'pg'

/** What the driver's types leave out of a connection: the messages before a session begins. */
interface RawConnection extends pg.Connection {
  connect(port: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
}

/** What the driver's types leave out of a client: where its session is, and the key that cancels its statements. */
interface SessionKey {
  host: string
  port: number
  ssl: pg.ConnectionConfig['ssl']
  sslNegotiation: 'postgres' | 'direct'
  processID: number | null
  secretKey: number | null
}

/**
 * Cancels the statement that the server runs for this client, by a CancelRequest of the protocol: a pooler passes that
 * on to the right server process, whose id is not known here. Never rejects.
 * @param client stays connected meanwhile: a pooler forgets the key of one that has gone.
 * @param withinMs after which it resolves in any case.
 */
export async function cancelRequest(client: ClientBase, withinMs: number): Promise<void> {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = client as ClientBase &
    SessionKey
  if (processID === null || secretKey === null) return
  const options = { ssl, sslNegotiation }
  const connection = new pg.Connection(options) as RawConnection
  const timer = setTimeout(() => connection.stream.destroy(), withinMs)
  const cancel = (): void => connection.cancel(processID, secretKey)
  if (!ssl) connection.on('connect', cancel)
  else if (sslNegotiation !== 'direct') connection.on('connect', () => connection.requestSsl())
  connection.on('sslconnect', cancel)
  try {
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
    // The server closes the connection once it has passed on the request.
    await once(connection, 'end')
  } catch {
    // Unreachable: then its time limits end the statement.
  } finally {
    clearTimeout(timer)
    connection.on('error', () => {})
    connection.stream.destroy()
  }
}
