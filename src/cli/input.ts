import { fstatSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { ProgressBar, Unit } from './progress.ts'

/** Input of an import. */
export interface Input {
  /** Name in error messages. */
  name: string
  stat: Stats
  chunks: AsyncIterable<Buffer>
  unit: Unit
  /** Updates the bar, by bytes of a file or by messages. */
  showProgress: (bar: ProgressBar, messages: number) => void
}

/** Opens a file, decompressed if its name ends in `.gz`, or standard input. */
export async function openInput(file: string): Promise<Input> {
  if (file === '-') {
    return {
      name: 'standard input',
      stat: fstatSync(0),
      chunks: process.stdin,
      unit: 'messages',
      showProgress: (bar, messages) => bar.update(messages),
    }
  }
  const handle = await open(file)
  const stat = await handle.stat()
  const bytes = handle.createReadStream({ highWaterMark: 1024 * 1024 })
  // An error of either stream rejects the iteration over the last one. It may occur before the iteration begins, so it
  // needs a listener.
  const chunks: Readable = file.endsWith('.gz') ? pipeline(bytes, createGunzip(), () => {}) : bytes
  chunks.on('error', () => {})
  return {
    name: file,
    stat,
    chunks,
    unit: stat.isFile() ? 'bytes' : 'messages',
    showProgress: (bar, messages) =>
      stat.isFile() ? bar.update(bytes.bytesRead, stat.size) : bar.update(messages),
  }
}
