import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net'

/** An IPv4 address with a port, or an address in brackets, as some proxies write them. */
const WITH_PORT_OR_BRACKETS = /^(?:\[([^\]]*)\](?::\d+)?|([\d.]+):\d+)$/

/** Prefix of IPv4-mapped IPv6 addresses (RFC 4291, section 2.5.5.2). */
const IPV4_MAPPED = '::ffff:'

/**
 * Returns the canonical form of an IP address, or undefined if the text is not an IP address.
 * Ports, brackets and zone ids are dropped, and an IPv4-mapped IPv6 address is returned as IPv4.
 */
export function parseAddress(text: string): string | undefined {
  const [, bracketed, withPort] = WITH_PORT_OR_BRACKETS.exec(text) ?? []
  const address = bracketed ?? withPort ?? text
  if (isIPv4(address)) return address
  if (!isIPv6(address)) return undefined
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address
  const embedded = canonical.slice(IPV4_MAPPED.length)
  return canonical.startsWith(IPV4_MAPPED) && isIPv4(embedded) ? embedded : canonical
}

/**
 * Returns the key that the requests of a client are counted by.
 * This is its IPv4 address, or the /64 prefix of its IPv6 address, as a /64 network usually belongs to one client.
 * @param address in the form that `parseAddress` returns.
 */
export function clientKey(address: string): string {
  if (isIPv4(address)) return address
  const [left = '', right] = address.split('::')
  const groups = left === '' ? [] : left.split(':')
  // `::` stands for the missing groups, which are zero.
  if (right !== undefined) {
    const after = right === '' ? [] : right.replace(/[\d.]*\.\d+$/, '0:0').split(':')
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  const prefix = `${groups.slice(0, 4).join(':')}::`
  return new SocketAddress({ address: prefix, family: 'ipv6' }).address
}

/** Returns whether the text is an IP address or a range in CIDR notation (RFC 4632). */
export function isAddressRange(text: string): boolean {
  const [, address = '', prefix] = /^([0-9a-fA-F.:]+)(?:\/([1-9][0-9]{0,2}))?$/.exec(text) ?? []
  const bits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0
  return bits > 0 && Number(prefix ?? bits) <= bits
}

/** Predicate for trusted proxies; `hop` is the number of proxies between the address and the service. */
export type ProxyTrust = (address: string | undefined, hop: number) => boolean

/**
 * Returns the predicate of a TRUST_PROXY setting.
 * @param proxies whether all are trusted, the number of the nearest ones that are, or addresses and ranges.
 */
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
 * Returns the client address of a request, or undefined if the connection is closed.
 * It is the address of the peer or, if that is a trusted proxy, the last untrusted address in `X-Forwarded-For`. An
 * invalid entry in the header is replaced by the address of the proxy that appended it.
 */
export function clientAddress(
  { socket, headers }: IncomingMessage,
  isTrusted: ProxyTrust,
): string | undefined {
  let address = parseAddress(socket.remoteAddress ?? '')
  if (!isTrusted(address, 0)) return address
  // Each proxy appends the address of its own client.
  const hops = String(headers['x-forwarded-for'] ?? '').split(',')
  let client = address
  for (const [n, text] of hops.reverse().entries()) {
    if (!isTrusted(address, n)) break
    address = parseAddress(text.trim())
    client = address ?? client
  }
  return client
}
