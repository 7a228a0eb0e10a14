/** Returns the amount of work of a fault test: `short` if FAULTS is `short`, else `full`. */
export function scale(amounts: { short: number; full: number }): number {
  return process.env.FAULTS === 'short' ? amounts.short : amounts.full
}
