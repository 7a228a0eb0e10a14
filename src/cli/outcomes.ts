import type { AppendOutcome } from '../db/message-store.ts'

/** Returns counts of outcomes as text, such as `created 2, duplicate 3 (1 conflicting)`. */
export function formatOutcomes(counts: Readonly<Record<AppendOutcome, number>>): string {
  const { created, duplicate, conflict } = counts
  const conflicting = conflict > 0 ? ` (${conflict} conflicting)` : ''
  return `created ${created}, duplicate ${duplicate + conflict}${conflicting}`
}
