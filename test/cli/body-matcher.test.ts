import t from 'tap'
import { prepareBodyMatcher } from '../../src/cli/body-matcher.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

t.test('finds a number with and without its plus, escaped or in invalid JSON', async (t) => {
  const isNamed = prepareBodyMatcher({ from: '+9198' })
  for (const text of [
    '{"from":"+9198"}',
    '{"from":"9198"}',
    '{"from":9198}',
    '{"a":[{"from":"\\u002b919\\u0038"}]}',
    '{"9198":1}',
    'not JSON: +9198',
  ]) {
    t.ok(isNamed(bytes(text)), text)
  }
  for (const text of ['{"from":"+91981"}', '{"from":"19198"}', '{}', '']) {
    t.notOk(isNamed(bytes(text)), text)
  }
})

t.test('finds whole ids only, whatever characters they have', async (t) => {
  const isNamed = prepareBodyMatcher({ ids: ['order-1', 'wamid.A+/=', '日本'] })
  for (const id of ['order-1', 'wamid.A+/=', '日本', 'order-1 ']) {
    t.ok(isNamed(bytes(JSON.stringify({ message_id: id }))), id)
  }
  for (const id of ['order-12', 'my-order-1', 'order-1-b', 'wamidXA+/=', 'order']) {
    t.notOk(isNamed(bytes(JSON.stringify({ message_id: id }))), id)
  }
})
