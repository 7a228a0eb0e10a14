/**
 * The one case folding of the service: two texts match when their folds do, whatever the store.
 *
 * Defined as each code point upper-cased and then lower-cased, without normalisation. Folding the string as a
 * whole is the same and far faster, but for one rule that looks at neighbours: a final Σ becomes ς, undone here.
 */
export function fold(text: string): string {
  return text.toUpperCase().toLowerCase().replaceAll('ς', 'σ')
}
