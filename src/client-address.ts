import type { IncomingMessage } from 'node:http'
import { BlockList, isIPv4, isIPv6, SocketAddress } from 'node:net'

/** An address with a port, or an IPv6 address in brackets, as some proxies write them in `X-Forwarded-For`. */
const DECORATED = /^(?:\[([^\]]*)\](?::\d+)?|([\d.]+):\d+)$/

/** The prefix of an IPv4 address in an IPv6 one (RFC 4291, section 2.5.5.2). */
const IPV4_MAPPED = '::ffff:'

/**
 * Returns the canonical text of an IP address, undefined where the text is none.
 *
 * Ports, brackets and zone ids are dropped, and an IPv4-mapped IPv6 address is returned as IPv4.
 */
export function parseAddress(text: string): string | undefined {
  const [, bracketed, withPort] = DECORATED.exec(text) ?? []
  const address = bracketed ?? withPort ?? text
  if (isIPv4(address)) return address
  if (!isIPv6(address)) return undefined
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address
  const embedded = canonical.slice(IPV4_MAPPED.length)
  return canonical.startsWith(IPV4_MAPPED) && isIPv4(embedded) ? embedded : canonical
}

/** Returns what a client is counted by: its IPv4 address, or the /64 of its IPv6 address. */
export function clientKey(address: string): string {
  if (isIPv4(address)) return address
  const [left = '', right] = address.split('::')
  const groups = left === '' ? [] : left.split(':')
  // What `::` stands for is zeros, as many as are missing.
  if (right !== undefined) {
    const after = right === '' ? [] : right.replace(/[\d.]*\.\d+$/, '0:0').split(':')
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  const prefix = `${groups.slice(0, 4).join(':')}::`
  return new SocketAddress({ address: prefix, family: 'ipv6' }).address
}

/** Returns whether a proxy is trusted, by its address or by the number of proxies between it and the service. */
export type ProxyTrust = (address: string | undefined, hop: number) => boolean

/** Returns the trust in all proxies, in none, in so many, or in those with these addresses or ranges of them. */
export function proxyTrust(proxies: boolean | number | readonly string[]): ProxyTrust {
  if (typeof proxies === 'boolean') return () => proxies
  if (typeof proxies === 'number') return (_address, hop) => hop < proxies
  const list = new BlockList()
  for (const range of proxies) {
    const [address = '', prefix] = range.split('/')
    const family = isIPv4(address) ? 'ipv4' : 'ipv6'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return (address) =>
    address !== undefined && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

/**
 * Returns the address that a request comes from: of the connection, or what trusted proxies name in `X-Forwarded-For`.
 *
 * Where a trusted proxy names something that is no address, it is that of the proxy. Undefined once the connection is
 * closed.
 */
export function clientAddress(
  { socket, headers }: IncomingMessage,
  isTrusted: ProxyTrust,
): string | undefined {
  let address = parseAddress(socket.remoteAddress ?? '')
  if (!isTrusted(address, 0)) return address
  // Each proxy appends the address that it was called from.
  const hops = String(headers['x-forwarded-for'] ?? '').split(',')
  let client = address
  for (const [n, text] of hops.reverse().entries()) {
    if (!isTrusted(address, n)) break
    address = parseAddress(text.trim())
    client = address ?? client
  }
  return client
}
