const NEWLINE = 0x0a

/** A line of a text, without its end. */
export interface Line {
  /** From 1. */
  number: number
  /** Undefined when it is longer than allowed. */
  bytes: Uint8Array | undefined
}

/**
 * Splits bytes into lines, as many at a time as a chunk ends. Of a line that is too long nothing is kept, so that
 * memory is bounded whatever comes.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  maxLength: number,
): AsyncGenerator<Line[], void> {
  let number = 0
  let begun: Buffer | undefined
  let tooLong = false
  for await (const chunk of chunks) {
    const lines: Line[] = []
    let start = 0
    while (start < chunk.length) {
      const end = chunk.indexOf(NEWLINE, start)
      const piece = chunk.subarray(start, end === -1 ? chunk.length : end)
      tooLong ||= (begun?.length ?? 0) + piece.length > maxLength
      if (tooLong) begun = undefined
      else begun = begun ? Buffer.concat([begun, piece]) : piece
      if (end === -1) break
      lines.push({ number: ++number, bytes: tooLong ? undefined : begun })
      begun = undefined
      tooLong = false
      start = end + 1
    }
    yield lines
  }
  if (begun || tooLong) yield [{ number: number + 1, bytes: begun }]
}
