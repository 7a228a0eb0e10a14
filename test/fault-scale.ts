/** Returns the amount of work for a fault test: `short` if the environment has `FAULTS=short`, else `full`. */
export function scale(amounts: { short: number; full: number }): number {
  return process.env.FAULTS === 'short' ? amounts.short : amounts.full
}
