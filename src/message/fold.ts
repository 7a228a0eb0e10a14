/**
 * Returns the case-folded form of a text; searches in every store compare folded texts.
 * Defined as upper-casing and then lower-casing each code point, without normalization. Folding the whole string at
 * once is much faster. It differs only in that JavaScript lower-cases a final Σ to ς, which is undone here.
 */
export function fold(text: string): string {
  return text.toUpperCase().toLowerCase().replaceAll('ς', 'σ')
}
