/** A seeded pseudo-random generator (sfc32), with the same sequence on every machine. */
export class Random {
  #a = 0x9e3779b9
  #b = 0x243f6a88
  #c = 0xb7e15162
  #d: number

  constructor(seed: number) {
    this.#d = seed | 0
    for (let round = 0; round < 16; round++) this.bits()
  }

  /** Returns 32 random bits as an unsigned integer. */
  bits(): number {
    const sum = (this.#a + this.#b + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  /** Returns a number in [0, 1). */
  fraction(): number {
    return this.bits() / 0x1_0000_0000
  }

  /** Returns an integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit)
  }
}

/** Zipf distribution over `size` ranks from 0: the n-th is drawn 1/n as often as the first. */
export class LongTail {
  readonly #cumulative: Float64Array

  constructor(size: number) {
    this.#cumulative = new Float64Array(size)
    let sum = 0
    for (let rank = 0; rank < size; rank++) {
      sum += 1 / (rank + 1)
      this.#cumulative[rank] = sum
    }
  }

  /** Draws a rank. */
  draw(random: Random): number {
    const cumulative = this.#cumulative
    const wanted = random.fraction() * (cumulative.at(-1) ?? 0)
    let low = 0
    let high = cumulative.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((cumulative[middle] ?? 0) < wanted) low = middle + 1
      else high = middle
    }
    return low
  }
}
