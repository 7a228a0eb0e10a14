import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { LiveFeed } from '../db/live-feed.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The feed of all messages, for any number of followers. */
    feed: LiveFeed
  }
}

/**
 * Decorates the instance with the feed.
 * The feed is notified of commits, and closed when draining begins.
 */
async function feed(
  app: FastifyInstance,
  { readTimeoutMs }: { readTimeoutMs: number },
): Promise<void> {
  const feed = new LiveFeed(app.store, readTimeoutMs)
  app.decorate('feed', feed)
  app.batcher.onCommitted(() => feed.notify())
  app.shutdown.signal.addEventListener('abort', () => feed.close(), { once: true })
}

export default fp(feed, { name: 'feed', dependencies: ['db', 'batcher', 'shutdown'] })
