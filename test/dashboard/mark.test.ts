import t from 'tap'
import { fold, splitMatches } from '../../src/dashboard/mark.js'
import { fold as foldOfService } from '../../src/message/fold.ts'

/** Returns a text with its matches in brackets. */
const mark = (text: string, search: string) =>
  splitMatches(text, search)
    .map(({ text, isMatch }) => (isMatch ? `[${text}]` : text))
    .join('')

t.test('folds every character as the service does', async (t) => {
  const differing: string[] = []
  for (let code = 0; code <= 0x10ffff; code++) {
    const character = String.fromCodePoint(code)
    if (fold(character) !== foldOfService(character)) differing.push(code.toString(16))
  }
  t.strictSame(differing, [])
  t.equal(fold('ὈΔΥΣΣΕΎΣ'), foldOfService('ὈΔΥΣΣΕΎΣ'))
})

t.test('marks matches in every script, also where folding changes the length', async (t) => {
  t.equal(mark('Coffee, COFFEE', 'coffee'), '[Coffee], [COFFEE]')
  t.equal(mark('Straße', 'SS'), 'Stra[ß]e')
  t.equal(mark('Straße', 'S'), '[S]tra[ß]e')
  t.equal(mark('ﬁne ﬁt', 'fi'), '[ﬁ]ne [ﬁ]t')
  t.equal(mark('ﬁne', 'in'), '[ﬁn]e')
  t.equal(mark('İstanbul x', 'x'), 'İstanbul [x]')
  t.equal(mark('Ὀδυσσεύς', 'ΣΣΕΎΣ'), 'Ὀδυ[σσεύς]')
  t.equal(mark('😀ПРИВЕТ😀', 'привет'), '😀[ПРИВЕТ]😀')
  t.equal(mark('𐐀x', '𐐨'), '[𐐀]x')
  t.equal(mark('مرحبا بك', 'بك'), 'مرحبا [بك]')
  t.equal(mark('aaa', 'aa'), '[aa]a')
  t.equal(mark('a', ''), 'a')
  t.equal(mark('', 'a'), '')
})
