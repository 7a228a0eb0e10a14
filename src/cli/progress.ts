import { Presets, SingleBar } from 'cli-progress'

/** A bar on standard error while something takes its time; where that is no terminal, nothing is shown. */
export class ProgressBar {
  readonly #label: string
  #bar: SingleBar | undefined
  #total = 0

  constructor(label: string) {
    this.#label = label
  }

  /** @param total undefined where nobody knows how much there is: then there is a count in place of a bar. */
  update(done: number, total?: number): void {
    if (!this.#bar) {
      const format = total === undefined ? '{value}' : '{bar} {percentage} % | {eta_formatted} left'
      this.#bar = new SingleBar(
        { format: `${this.#label} ${format}`, stream: process.stderr, hideCursor: null },
        Presets.shades_classic,
      )
      this.#bar.start(total ?? 0, 0)
    }
    this.#bar.update(done)
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
