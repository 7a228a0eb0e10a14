import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { pino } from 'pino'

/**
 * Lines are written once they fill this many characters or have waited for the interval: each write wakes a thread or
 * the reader, and costs as much as a hundred lines. A pipe holds two such blocks.
 */
const WRITE_AT = 32 * 1024
const WRITE_EVERY_MS = 50

/** What may wait for a reader that has stalled, in bytes; blocks beyond it are dropped, and their lines counted. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024

/** Where the log goes: it takes lines at once and never waits for whoever reads them. */
export interface LogOutput {
  write(line: string): void
  /** Writes what was taken, and calls back once it is written. */
  flush(done?: () => void): void
}

/** What lines are written to, a block of them at a time. */
interface BlockOutput {
  /** Takes a block, or drops it. */
  write(block: string): void
  /** Calls back once everything that it took is written. */
  flush(done?: () => void): void
}

/** A pipe whose reader may stall. A write to it must not occupy a thread, which would keep the process from ending. */
function pipeOutput(fd: number, onDrop: (block: string) => void): BlockOutput {
  const pipe = new Socket({ fd, readable: false, writable: true })
  // A reader that has gone: what is written from then on is dropped.
  pipe.on('error', () => undefined)
  return {
    write(block) {
      if (!pipe.writable || pipe.writableLength + block.length > MAX_WAITING_BYTES) onDrop(block)
      else pipe.write(block)
    },
    flush(done) {
      if (done) pipe.write('', done)
    },
  }
}

function fileOutput(fd: number, onDrop: (block: string) => void): BlockOutput {
  const file = pino.destination({
    fd,
    sync: false,
    // A block is written at once. Where less is given, it calls back before everything is written, or writes nothing.
    minLength: 1,
    maxWrite: 2 * WRITE_AT,
    maxLength: MAX_WAITING_BYTES,
  })
  file.on('drop', onDrop)
  // A disk that is full: what could not be written waits, within its bound, for the next try.
  file.on('error', () => undefined)
  return {
    write: (block) => file.write(block),
    flush: (done) => file.flush(done),
  }
}

/**
 * Standard output, written behind the event loop's back. Lines are gathered here: what writes to a file would measure
 * all that it has gathered with each line that it is given.
 * @param onDrop hears how many lines could not be kept.
 */
export function standardOutput(onDrop: (lines: number) => void): LogOutput {
  const fd = 1
  const stat = fstatSync(fd)
  const open = stat.isFIFO() || stat.isSocket() ? pipeOutput : fileOutput
  const blocks = open(fd, (dropped) => onDrop(dropped.split('\n').length - 1))
  let block = ''
  const handOver = (): void => {
    const full = block
    block = ''
    if (full !== '') blocks.write(full)
  }
  const output: LogOutput = {
    write(line) {
      block += line
      if (block.length >= WRITE_AT) handOver()
    },
    flush(done) {
      handOver()
      blocks.flush(done)
    },
  }
  const flush = () => output.flush()
  setInterval(flush, WRITE_EVERY_MS).unref()
  // Before the listener of what writes to a file, which then writes all that it was given.
  process.prependListener('exit', handOver)
  return output
}
