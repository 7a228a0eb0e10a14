import { Presets, SingleBar } from 'cli-progress'

/** What a progress bar counts. */
export type Unit = 'messages' | 'bytes'

const MEGABYTE = 1_000_000

/** An amount without its unit: bytes in megabytes. */
function amountOf(value: number, unit: Unit): string {
  return unit === 'bytes' ? (value / MEGABYTE).toFixed(1) : value.toLocaleString('en')
}

/** A bar on standard error while something takes its time; where that is no terminal, nothing is shown. */
export class ProgressBar {
  readonly #label: string
  readonly #unit: Unit
  #bar: SingleBar | undefined
  #total = 0

  constructor(label: string, unit: Unit) {
    this.#label = label
    this.#unit = unit
  }

  /** @param total undefined where nobody knows how much there is: then there is a count in place of a bar. */
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
        { format: `${this.#label} ${format}`, stream: process.stderr, hideCursor: null },
        Presets.shades_classic,
      )
      this.#bar.start(total ?? 0, 0, { amount: amountOf(0, this.#unit) })
    }
    this.#bar.update(done, { amount })
  }

  /** For what tells how much is left, rather than how much is done: the first figure is the whole. */
  left(count: number): void {
    this.#total = Math.max(this.#total, count)
    this.update(this.#total - count, this.#total)
  }

  /** Leaves the bar as it is and ends its line. */
  end(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}
