import t from 'tap'
import { clientKey, parseAddress, proxyTrust } from '../src/client-address.ts'

t.test('returns the canonical form of every spelling of an address', async (t) => {
  for (const [address, ...spellings] of [
    ['4.4.4.4', '4.4.4.4', '4.4.4.4:1', '[4.4.4.4]', '::ffff:4.4.4.4', '0:0:0:0:0:FFFF:0404:0404'],
    [
      '2001:db8::1',
      '2001:DB8::1',
      '[2001:db8:0::1]',
      '[2001:0db8:0000:0000:0000:0000:0000:0001]:8080',
    ],
    ['fe80::1', 'fe80::1%eth0', '[fe80::1%25eth0]:80', `fe80::1%${'x'.repeat(10_000)}`],
  ]) {
    for (const spelling of spellings) t.equal(parseAddress(spelling), address, spelling)
  }
})

t.test('returns undefined for text that is not an address', async (t) => {
  for (const text of [
    '',
    'unknown',
    '_hidden',
    '4915112345678',
    '4915112345678:80',
    '+49151',
    '49.151.1234.5678',
    '010.1.2.3',
    '1.2.3.4:',
    '1.2.3.4:x',
    '[1.2.3.4',
    '1:2:3',
    '[]:80',
    '1.2.3.4 ',
    'x'.repeat(10_000),
  ]) {
    t.equal(parseAddress(text), undefined, text.slice(0, 40))
  }
})

t.test('returns the /64 prefix of an IPv6 address as the key of the client', async (t) => {
  for (const [address, key] of [
    ['4.4.4.4', '4.4.4.4'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::'],
    ['2001:db8::1', '2001:db8::'],
    ['2001:db8:0:1::', '2001:db8:0:1::'],
    ['::5:6:7:8', '::'],
    ['::1.2.3.4', '::'],
    ['::', '::'],
  ] as const) {
    t.equal(clientKey(address), key, address)
  }
})

t.test('trusts proxies by IPv4 and IPv6 addresses and ranges', async (t) => {
  const isTrusted = proxyTrust(['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '::ffff:172.16.0.0/108'])
  for (const address of ['10.1.2.3', '192.0.2.1', 'fd00::1', '172.16.3.4']) {
    t.ok(isTrusted(address, 0), address)
  }
  for (const address of ['11.1.2.3', '192.0.2.2', 'fe00::1', '172.32.0.1', undefined]) {
    t.notOk(isTrusted(address, 0), String(address))
  }
})
