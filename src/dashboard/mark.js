/**
 * Returns the case-folded form of a character, as searches of the service fold texts.
 * @param {string} character
 */
const foldCharacter = (character) => character.toUpperCase().toLowerCase().replaceAll('ς', 'σ')

/**
 * Returns the case-folded form of a text.
 * @param {string} text
 */
export const fold = (text) => Array.from(text, foldCharacter).join('')

/**
 * Splits a text at the matches of a search.
 * Folding may change lengths, so a match may begin or end within a character; the whole character is then marked.
 * @param {string} text
 * @param {string} search
 * @returns {{ text: string, isMatch: boolean }[]} parts that are not empty
 */
export function splitMatches(text, search) {
  const wanted = fold(search)
  if (!wanted) return text ? [{ text, isMatch: false }] : []
  let folded = ''
  /** Index in the text of the character that each unit of the folded text comes from. @type {number[]} */
  const origins = []
  let index = 0
  for (const character of text) {
    const piece = foldCharacter(character)
    for (let unit = 0; unit < piece.length; unit++) origins.push(index)
    folded += piece
    index += character.length
  }

  /** @type {{ text: string, isMatch: boolean }[]} */
  const parts = []
  let end = 0
  for (let at = folded.indexOf(wanted); at >= 0; at = folded.indexOf(wanted, at + wanted.length)) {
    const start = Math.max(end, origins[at] ?? end)
    const last = origins[at + wanted.length - 1] ?? start
    const stop = last + String.fromCodePoint(text.codePointAt(last) ?? 0).length
    if (stop <= start) continue
    if (start > end) parts.push({ text: text.slice(end, start), isMatch: false })
    parts.push({ text: text.slice(start, stop), isMatch: true })
    end = stop
  }
  if (end < text.length) parts.push({ text: text.slice(end), isMatch: false })
  return parts
}
