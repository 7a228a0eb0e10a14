const SYMBOLS = 'abcdefghijklmnopqrstuvwxyz0123456789'

/**
 * Returns a folded text with every character that is not ASCII replaced by an ASCII letter or digit, for the index of
 * trigrams: under some locales `pg_trgm` ignores all other letters, and under every locale it ignores emoji.
 *
 * The replacement is by code point, so what contains a needle also has a key that contains the needle's key. It is not
 * unique: neighbours in an alphabet differ, and distant characters may share a symbol, so a match of keys is to be
 * checked against the text.
 */
export function searchKey(folded: string): string {
  return folded.replaceAll(/\P{ASCII}/gu, (character) =>
    SYMBOLS.charAt((character.codePointAt(0) ?? 0) % SYMBOLS.length),
  )
}

/** What is stored beside a folded text: its key, or null where the text is its own. */
export function storedSearchKey(folded: string | null): string | null {
  if (folded === null) return null
  const key = searchKey(folded)
  return key === folded ? null : key
}
