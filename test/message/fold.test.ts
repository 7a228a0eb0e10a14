import fc from 'fast-check'
import t from 'tap'
import { fold } from '../../src/message/fold.ts'

/** The definition of `fold`: each code point upper-cased and then lower-cased. */
function foldByDefinition(text: string): string {
  return Array.from(text, (character) =>
    Array.from(character.toUpperCase(), (upper) => upper.toLowerCase()).join(''),
  ).join('')
}

t.test('folds every code point as the definition does', async (t) => {
  const different: string[] = []
  for (let first = 0; first <= 0x10ffff; first += 0x400) {
    if (first >= 0xd800 && first <= 0xdfff) continue
    const points = Array.from({ length: 0x400 }, (_, n) => String.fromCodePoint(first + n))
    // Each after a letter, so that the rule for a final Σ would apply.
    const text = points.join('α')
    if (fold(text) !== foldByDefinition(text)) different.push(first.toString(16))
  }
  t.same(different, [])
})

t.test('folds any string as the definition does', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => fold(text) === foldByDefinition(text)),
  )
})

t.test('maps texts that differ only in case to the same fold', async (t) => {
  t.equal(fold('ÄRGER'), fold('ärger'))
  t.equal(fold('ПРИВЕТ'), fold('привет'))
  t.equal(fold('ΟΔΟΣ'), fold('οδος'))
  t.equal(fold('οδός'), fold('ΟΔΌΣ'))
  t.equal(fold('Straße'), fold('STRASSE'))
  t.not(fold('é'), fold('e\u0301'), 'no normalisation')
})
