import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { pino } from 'pino'

/**
 * Lines are written once they fill this many bytes or have waited for the interval: each write wakes a thread or the
 * reader, and costs as much as a hundred lines.
 */
const WRITE_AT_BYTES = 16 * 1024
const WRITE_EVERY_MS = 50

/** What may wait for a reader that has stalled, in bytes; lines beyond it are dropped and counted. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024

/** Where the log goes: it takes lines at once and never waits for whoever reads them. */
export interface LogOutput {
  write(line: string): void
  /** Writes what was taken, and calls back once it is written. */
  flush(done?: () => void): void
}

/** A pipe whose reader may stall. A write to it must not occupy a thread, which would keep the process from ending. */
class PipeOutput implements LogOutput {
  readonly #pipe: Socket
  readonly #onDrop: () => void
  #text = ''

  constructor(fd: number, onDrop: () => void) {
    this.#pipe = new Socket({ fd, readable: false, writable: true })
    this.#onDrop = onDrop
    // A reader that has gone: what is written from then on is dropped.
    this.#pipe.on('error', () => undefined)
  }

  write(line: string): void {
    if (this.#pipe.writableLength + this.#text.length > MAX_WAITING_BYTES || !this.#pipe.writable) {
      this.#onDrop()
      return
    }
    this.#text += line
    if (this.#text.length >= WRITE_AT_BYTES) this.flush()
  }

  flush(done?: () => void): void {
    const text = this.#text
    this.#text = ''
    this.#pipe.write(text, done)
  }
}

function fileOutput(fd: number, onDrop: () => void): LogOutput {
  const file = pino.destination({
    fd,
    sync: false,
    minLength: WRITE_AT_BYTES,
    maxWrite: 2 * WRITE_AT_BYTES,
    maxLength: MAX_WAITING_BYTES,
  })
  file.on('drop', onDrop)
  // A disk that is full: what could not be written waits, within its bound, for the next try.
  file.on('error', () => undefined)
  return file
}

/** Standard output, written behind the event loop's back. @param onDrop hears of each line that could not be kept. */
export function standardOutput(onDrop: () => void): LogOutput {
  const fd = 1
  const stat = fstatSync(fd)
  const output =
    stat.isFIFO() || stat.isSocket() ? new PipeOutput(fd, onDrop) : fileOutput(fd, onDrop)
  const flush = () => output.flush()
  setInterval(flush, WRITE_EVERY_MS).unref()
  process.on('exit', flush)
  return output
}
