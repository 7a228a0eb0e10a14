import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy in front of a server, which simulates network failures. */
export interface Proxy {
  /** URL of the server through the proxy. */
  url: string
  /** Closes every connection and refuses new ones. */
  disconnect(): Promise<void>
  /** Forwards nothing in either direction, on open and on new connections. */
  stall(): void
  /** Discards all data on open connections without closing them; new connections work. */
  lose(): void
  /** Closes every connection and accepts new ones. */
  resume(): Promise<void>
}

/** Starts a proxy in front of the server of the URL, until the test ends. */
export async function startProxy(t: Test, target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const lost = new WeakSet<Socket>()
  let stalled = false
  const server = createServer({ pauseOnConnect: true }, (client) => {
    sockets.add(client)
    client.on('error', () => {}).on('close', () => sockets.delete(client))
    if (stalled) return
    const upstream = connect(Number(port || 5432), hostname)
    sockets.add(upstream)
    upstream.on('error', () => {}).on('close', () => lost.has(upstream) || client.destroy())
    client.on('close', () => lost.has(client) || upstream.destroy())
    client.pipe(upstream).pipe(client)
    client.resume()
  })
  const listen = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' ? (address?.port ?? 0) : 0
  }
  const ownPort = await listen(0)
  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  t.teardown(() => {
    server.close()
    destroyAll()
  })
  const url = new URL(target)
  url.host = `127.0.0.1:${ownPort}`
  return {
    url: url.href,
    async disconnect() {
      server.close()
      destroyAll()
    },
    stall() {
      stalled = true
      for (const socket of sockets) socket.unpipe().pause()
    },
    lose() {
      for (const socket of sockets) {
        lost.add(socket)
        socket.unpipe().resume()
      }
    },
    async resume() {
      stalled = false
      destroyAll()
      if (!server.listening) await listen(ownPort)
    },
  }
}
