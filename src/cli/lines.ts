const NEWLINE = 0x0a

/** A line without its newline. */
export interface Line {
  /** Line number, from 1. */
  number: number
  /** Undefined if the line is too long. */
  bytes: Uint8Array | undefined
}

/**
 * Splits bytes into lines, and yields those that each chunk completes.
 *
 * Lines that are too long are not buffered, so that memory is bounded for any input.
 * @param maxLength maximum length of a line in bytes.
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
