import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { pino } from 'pino'

/**
 * Size of a block of lines, in characters.
 * Each write wakes a thread or the reader, which costs as much as a hundred lines. A pipe of 64 KiB holds two blocks.
 */
const BLOCK_SIZE = 32 * 1024

/** Milliseconds after which an incomplete block is written. */
const FLUSH_INTERVAL_MS = 50

/** Maximum bytes that are buffered while the reader of the log stalls; further blocks are dropped. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024

/** Destination of the log. Writing never blocks, even if the reader stalls. */
export interface LogOutput {
  /** Buffers a line, which includes its newline. */
  write(line: string): void
  /** Writes buffered lines, and calls `done` once they are written. */
  flush(done?: () => void): void
}

/** Destination of blocks of lines. */
interface BlockOutput {
  /** Queues a block, or drops it if too much is queued. */
  write(block: string): void
  /** Calls `done` once all queued blocks are written. */
  flush(done?: () => void): void
}

/**
 * Returns an output to a pipe or socket, written by the event loop.
 * A write by a thread would block while the reader stalls, and prevent the process from exiting.
 */
function pipeOutput(fd: number, onDrop: (block: string) => void): BlockOutput {
  const pipe = new Socket({ fd, readable: false, writable: true })
  // If the reader has closed the pipe, further lines are dropped.
  pipe.on('error', () => undefined)
  return {
    write(block) {
      if (!pipe.writable || pipe.writableLength + block.length > MAX_BUFFERED_BYTES) onDrop(block)
      else pipe.write(block)
    },
    flush(done) {
      if (done) pipe.write('', done)
    },
  }
}

/** Returns an output to a file or terminal, which is written by a thread of the pool. */
function fileOutput(fd: number, onDrop: (block: string) => void): BlockOutput {
  const file = pino.destination({
    fd,
    sync: false,
    // Writes each block at once, in one call. With `minLength` 0 or smaller writes, `flush` may call back too early or
    // write nothing.
    minLength: 1,
    maxWrite: 2 * BLOCK_SIZE,
    maxLength: MAX_BUFFERED_BYTES,
  })
  file.on('drop', onDrop)
  // If the disk is full, blocks stay buffered, up to `maxLength`, and the next write tries again.
  file.on('error', () => undefined)
  return {
    write: (block) => file.write(block),
    flush: (done) => file.flush(done),
  }
}

/**
 * Returns an output that writes to standard output asynchronously.
 * Lines are buffered here rather than by pino's destination, which computes the size of its whole buffer for each line.
 * @param onDrop called with the number of lines that were dropped.
 */
export function standardOutput(onDrop: (lines: number) => void): LogOutput {
  const fd = 1
  const stat = fstatSync(fd)
  const open = stat.isFIFO() || stat.isSocket() ? pipeOutput : fileOutput
  const blocks = open(fd, (dropped) => onDrop(dropped.split('\n').length - 1))
  let block = ''
  const writeBlock = (): void => {
    const full = block
    block = ''
    if (full !== '') blocks.write(full)
  }
  const output: LogOutput = {
    write(line) {
      block += line
      if (block.length >= BLOCK_SIZE) writeBlock()
    },
    flush(done) {
      writeBlock()
      blocks.flush(done)
    },
  }
  const flush = () => output.flush()
  setInterval(flush, FLUSH_INTERVAL_MS).unref()
  // Runs before the exit listener of pino's destination, which writes its queued blocks synchronously.
  process.prependListener('exit', writeBlock)
  return output
}
