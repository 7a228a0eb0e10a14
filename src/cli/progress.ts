import { Presets, SingleBar } from 'cli-progress'

/** Unit of progress. */
export type Unit = 'messages' | 'bytes'

const MEGABYTE = 1_000_000

/** Formats an amount without its unit; bytes in megabytes. */
function amountOf(value: number, unit: Unit): string {
  return unit === 'bytes' ? (value / MEGABYTE).toFixed(1) : value.toLocaleString('en')
}

/** A progress bar on standard error; shown only on a terminal. */
export class ProgressBar {
  readonly #label: string
  readonly #unit: Unit
  #bar: SingleBar | undefined
  #total = 0

  constructor(label: string, unit: Unit) {
    this.#label = label
    this.#unit = unit
  }

  /**
   * Shows the progress.
   * @param total undefined if unknown: a count is then shown rather than a bar.
   */
  update(done: number, total?: number): void {
    const amount = amountOf(done, this.#unit)
    if (!this.#bar) {
      const shown = this.#unit === 'bytes' ? 'MB' : this.#unit
      const whole = amountOf(total ?? 0, this.#unit)
      const format =
        total === undefined
          ? `{amount} ${shown}`
          : `{bar} {percentage} % | {amount} of ${whole} ${shown} | {eta_formatted} left`
      this.#bar = new SingleBar(
        {
          format: `${this.#label} ${format}`,
          stream: process.stderr,
          hideCursor: null,
          // Its listeners of SIGINT and SIGTERM would keep the first of these signals from ending the process.
          gracefulExit: false,
        },
        Presets.shades_classic,
      )
      this.#bar.start(total ?? 0, 0, { amount: amountOf(0, this.#unit) })
    }
    this.#bar.update(done, { amount })
  }

  /** Shows the progress of work that reports the remaining amount; its maximum is the total. */
  updateRemaining(count: number): void {
    this.#total = Math.max(this.#total, count)
    this.update(this.#total - count, this.#total)
  }

  /** Stops the bar, and ends its line. */
  end(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}
