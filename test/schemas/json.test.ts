import t from 'tap'
import { readJson } from '../../src/schemas/json.ts'

const read = (text: string) => readJson(Buffer.from(text))
const wrong = { wrong: 'has more than 128 fields and elements' }

t.test('accepts any JSON of up to 128 fields and elements', async (t) => {
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
  for (const value of [
    numbers(128),
    Object.fromEntries(numbers(128).map((n) => [`name ${n}`, null])),
    numbers(64).map(() => [0]),
    { text: ',[{"\\'.repeat(2000) },
    { 'a "name"': '\\' },
    'x'.repeat(10_000),
    -1.5,
  ]) {
    t.strictSame(read(JSON.stringify(value)), { value })
    t.strictSame(read(JSON.stringify(value, null, 2)), { value })
  }
})

t.test('rejects more fields and elements at any nesting', async (t) => {
  for (const text of [
    JSON.stringify(Array.from({ length: 129 }, () => 0)),
    JSON.stringify(Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`"${n}\\`, '']))),
    `{"x":${'['.repeat(200)}${']'.repeat(200)}}`,
    '{"":'.repeat(10_000),
    `["a\\\\",${'[],'.repeat(200)}0]`,
    `{"a":{},"a":${'{"a":0},'.repeat(200)}`,
  ]) {
    t.strictSame(read(text), wrong, text.slice(0, 30))
  }
})

t.test('reports invalid JSON and invalid UTF-8', async (t) => {
  for (const text of ['', '{', '{"a":1,}', `"${'\\'.repeat(301)}"`, '"'.repeat(301), '\u0001']) {
    t.strictSame(read(text), { wrong: 'is not valid JSON' })
  }
  t.strictSame(readJson(Buffer.from([0x22, 0xff, 0x22])), { wrong: 'is not valid UTF-8' })
})
