import { Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * Writes chunks to standard output, through the transforms.
 * Resolves without an error if the reader closes the pipe.
 */
export async function writeOutput(
  chunks: AsyncIterable<string | Uint8Array>,
  ...transforms: Transform[]
): Promise<void> {
  const source = Readable.from(chunks, { objectMode: false })
  try {
    await pipeline([source, ...transforms, process.stdout])
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
}
