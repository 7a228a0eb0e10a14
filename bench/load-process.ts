import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { LoadOrder, LoadReport } from './load.ts'

/** The process that makes the load, kept for many orders, so that it is warm for each. */
export class LoadProcess {
  readonly #child = fork(new URL('./load.ts', import.meta.url), { stdio: 'inherit' })
  readonly #exited = once(this.#child, 'exit')

  /** Carries out one order; one at a time. @throws when a connection failed. */
  async run(order: LoadOrder): Promise<LoadReport> {
    this.#child.send(order)
    const [report] = await Promise.race([
      once(this.#child, 'message'),
      this.#exited.then(([code]) => {
        throw new Error(`the load ended with ${code}`)
      }),
    ])
    return report
  }

  close(): void {
    this.#child.disconnect()
  }
}
