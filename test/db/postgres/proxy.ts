import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy before a server, which can go away in the ways that networks know. */
export interface Proxy {
  /** The server's URL, through the proxy. */
  url: string
  /** Refuses new connections and cuts those that are there. */
  cut(): Promise<void>
  /** Swallows whatever is sent, in either direction, and answers no new connection. */
  stall(): void
  /** Swallows whatever is sent over the connections that are open, which stay open; new ones work. */
  lose(): void
  /** Lets everything through again; what was stalled stays lost. */
  resume(): Promise<void>
}

/** Starts a proxy before the server that the URL names; it ends with the test. */
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
  const listen = async (at: number): Promise<number> => {
    server.listen(at, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' ? (address?.port ?? 0) : 0
  }
  const own = await listen(0)
  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  t.teardown(() => {
    server.close()
    destroyAll()
  })
  const url = new URL(target)
  url.host = `127.0.0.1:${own}`
  return {
    url: url.href,
    async cut() {
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
      if (!server.listening) await listen(own)
    },
  }
}
