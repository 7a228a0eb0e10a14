import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { LoadJob, LoadReport } from './load.ts'

/** The load generator in a process of its own, reused for all jobs so that its code is compiled. */
export class LoadProcess {
  readonly #child = fork(new URL('./load.ts', import.meta.url), { stdio: 'inherit' })
  readonly #exited = once(this.#child, 'exit')

  /** Runs one job; not to be called concurrently. @throws if a connection fails. */
  async run(job: LoadJob): Promise<LoadReport> {
    this.#child.send(job)
    const [report] = await Promise.race([
      once(this.#child, 'message'),
      this.#exited.then(([code]) => {
        throw new Error(`the load generator exited with ${code}`)
      }),
    ])
    return report
  }

  /** Ends the process. */
  close(): void {
    this.#child.disconnect()
  }
}
