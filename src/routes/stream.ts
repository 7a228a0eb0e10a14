import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'

/** Sends a body of unknown length as it is produced, at the pace of the client. */
export function sendStream(
  reply: FastifyReply,
  contentType: string,
  chunks: AsyncIterable<string | Buffer>,
): void {
  // nginx would buffer the stream otherwise.
  reply.type(contentType).header('x-accel-buffering', 'no')
  reply.send(Readable.from(chunks, { highWaterMark: 1 }))
}
