import { type Readable, Transform, type TransformCallback } from 'node:stream'

/** Bytes of a block of joined chunks. */
const BLOCK_BYTES = 16 * 1024

/** Copies small chunks into blocks. */
class ChunkJoiner extends Transform {
  #block = Buffer.alloc(0)
  #used = 0

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#used + chunk.length > this.#block.length) this.#pushBlock()
    if (chunk.length >= BLOCK_BYTES) this.push(chunk)
    else {
      if (this.#block.length === 0) this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.#used += chunk.copy(this.#block, this.#used)
    }
    done()
  }

  override _flush(done: TransformCallback): void {
    this.#pushBlock()
    done()
  }

  #pushBlock(): void {
    if (this.#used > 0) this.push(this.#block.subarray(0, this.#used))
    this.#block = Buffer.alloc(0)
    this.#used = 0
  }
}

/**
 * Returns the stream of a body with its small chunks joined.
 * A chunk of one byte takes six bytes to send, and some hundred bytes of memory until the body is complete.
 */
export function joinChunks(body: Readable): Readable {
  const joiner = new ChunkJoiner()
  body.once('error', (error) => joiner.destroy(error))
  return body.pipe(joiner)
}
