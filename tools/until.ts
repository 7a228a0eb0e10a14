import { setTimeout as delay } from 'node:timers/promises'

/** Default limit in milliseconds: enough for an instance to start, migrations included. */
const WITHIN_MS = 60_000

/** Milliseconds between two evaluations of the condition. */
const POLL_MS = 20

/** Resolves once the condition holds. @throws Error that names the condition if it does not hold in time. */
export async function until(
  condition: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = WITHIN_MS,
): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${condition}`)
    await delay(POLL_MS)
  }
}
