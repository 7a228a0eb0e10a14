import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { readCursor, writeCursor } from '../../src/schemas/cursor.ts'

const scope = { order: 'asc' as const, from: '+1', q: 'x' }

t.test('a cursor of any position can be read back', async () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ unit: 'binary' }), (key, id) => {
      const position = { key, id: id.toWellFormed() }
      return isDeepStrictEqual(readCursor(scope, writeCursor(scope, position)), position)
    }),
  )
})

t.test('rejects a modified cursor, and one of another scope', async (t) => {
  const cursor = writeCursor(scope, { key: '2025-01-15T10:00:00', id: 'm1' })
  for (let at = 0; at < cursor.length; at++) {
    const other = cursor[at] === 'A' ? 'B' : 'A'
    t.equal(readCursor(scope, cursor.slice(0, at) + other + cursor.slice(at + 1)), undefined)
  }
  for (const other of [
    { ...scope, order: 'desc' as const },
    { ...scope, from: '+2' },
    { ...scope, q: 'y' },
    { ...scope, to: '+1' },
    { ...scope, since: '2025' },
    { ...scope, until: '2025' },
    { order: 'asc' as const },
  ]) {
    t.equal(readCursor(other, cursor), undefined)
  }
  for (const text of ['', '.', 'x', `${cursor}.`, `${cursor}x`, `.${cursor}`]) {
    t.equal(readCursor(scope, text), undefined)
  }
})

t.test('a cursor has a bounded length for ids of any length', async (t) => {
  for (const id of ['x'.repeat(6500), '\u0001'.repeat(700), '😀'.repeat(100_000)]) {
    const cursor = writeCursor(scope, { key: '', id })
    t.ok(cursor.length <= 8192, `${cursor.length} characters`)
    t.match(readCursor(scope, cursor), { key: '', idHash: /^[0-9a-f]{64}$/ })
  }
  const longest = writeCursor(scope, { key: '2025-01-15T10:00:00.123456789', id: '😀'.repeat(512) })
  t.match(readCursor(scope, longest), { id: '😀'.repeat(512) }, 'ids of the webhook are not hashed')
})
