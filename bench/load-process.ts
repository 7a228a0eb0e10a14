import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { LoadJob, LoadReport } from './load.ts'

/** The load generator in a process of its own, reused for all jobs so that its code is compiled. */
export class LoadProcess {
  readonly #child = fork(new URL('./load.ts', import.meta.url), { stdio: 'inherit' })
  readonly #exited = once(this.#child, 'exit')

  /**
   * Runs one job; not to be called concurrently.
   * @param onStarted called when the requests are prepared and the measurement starts.
   * @throws if a connection fails.
   */
  async run(job: LoadJob, onStarted: () => void = () => undefined): Promise<LoadReport> {
    this.#child.send(job)
    await this.#next()
    onStarted()
    return (await this.#next()) as LoadReport
  }

  /** Resolves with the next message of the process. */
  async #next(): Promise<unknown> {
    const [message] = await Promise.race([
      once(this.#child, 'message'),
      this.#exited.then(([code]) => {
        throw new Error(`the load generator exited with ${code}`)
      }),
    ])
    return message
  }

  /** Ends the process. */
  close(): void {
    this.#child.disconnect()
  }
}
