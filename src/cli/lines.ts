const NEWLINE = 0x0a

/** A line without its newline. */
export interface Line {
  /** Line number, from 1. */
  number: number
  /** Undefined if the line is too long. */
  bytes: Uint8Array | undefined
}

/** Returns the bytes of all pieces; without a copy if there is only one. */
function join(pieces: Buffer[]): Buffer {
  const [first, ...others] = pieces
  return first && others.length === 0 ? first : Buffer.concat(pieces)
}

/**
 * Splits bytes into lines, and yields those that each chunk completes.
 * Lines that are too long are not buffered, so that memory is bounded for any input.
 * @param maxLength maximum length of a line in bytes.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  maxLength: number,
): AsyncGenerator<Line[], void> {
  let number = 0
  let pieces: Buffer[] = []
  let length = 0
  let tooLong = false
  for await (const chunk of chunks) {
    const lines: Line[] = []
    let start = 0
    while (start < chunk.length) {
      const end = chunk.indexOf(NEWLINE, start)
      const piece = chunk.subarray(start, end === -1 ? chunk.length : end)
      length += piece.length
      tooLong ||= length > maxLength
      if (tooLong) pieces = []
      else pieces.push(piece)
      if (end === -1) break
      lines.push({ number: ++number, bytes: tooLong ? undefined : join(pieces) })
      pieces = []
      length = 0
      tooLong = false
      start = end + 1
    }
    yield lines
  }
  if (length > 0) yield [{ number: number + 1, bytes: tooLong ? undefined : join(pieces) }]
}
