/** How much of the checks of faults is run: all of it, unless `FAULTS=short` asks for the form that every change passes. */
export function scale(amounts: { short: number; full: number }): number {
  return process.env.FAULTS === 'short' ? amounts.short : amounts.full
}
