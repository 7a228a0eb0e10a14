/** Bounds of a query parameter that is clamped instead of rejected. */
interface Bounds {
  /** Value if the parameter is absent. */
  default: number
  min: number
  max: number
}

/** Returns the value of a query parameter, clamped to its bounds. */
export function clamp(value: number | undefined, bounds: Bounds): number {
  return Math.min(Math.max(value ?? bounds.default, bounds.min), bounds.max)
}
