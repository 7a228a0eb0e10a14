/**
 * Whether every store accepts a text.
 * PostgreSQL rejects NUL, and UTF-8 cannot encode unpaired surrogates.
 */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** Returns a text with U+FFFD in place of NUL and of unpaired surrogates. */
export function toStorable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD')
}
