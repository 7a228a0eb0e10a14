import { setTimeout as delay } from 'node:timers/promises'

/** Default timeout in milliseconds: enough for an instance to start, migrations included. */
const TIMEOUT_MS = 60_000

/** Interval in milliseconds at which the condition is evaluated. */
const POLL_MS = 20

/**
 * Resolves once the condition holds.
 * @throws Error that names the condition after the timeout.
 */
export async function until(
  condition: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = TIMEOUT_MS,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${condition}`)
    await delay(POLL_MS)
  }
}
