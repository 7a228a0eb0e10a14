/** Replacements of non-ASCII characters, which `pg_trgm` indexes under every locale. */
const SYMBOLS = 'abcdefghijklmnopqrstuvwxyz0123456789'

/**
 * Returns a folded text with every non-ASCII character replaced by an ASCII letter or digit.
 * The text index covers this key, because `pg_trgm` ignores emoji, and under some locales all non-ASCII letters.
 *
 * Each code point is replaced on its own, so the key of a text that contains a needle contains the key of the needle.
 * The reverse does not hold: several characters share a symbol, so a match of keys must be checked against the text.
 */
export function searchKey(folded: string): string {
  return folded.replaceAll(/\P{ASCII}/gu, (character) =>
    SYMBOLS.charAt((character.codePointAt(0) ?? 0) % SYMBOLS.length),
  )
}
