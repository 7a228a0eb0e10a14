import {
  type Attributes,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
} from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import type { DatabaseAddress } from '../config.ts'
import type { NewMessage } from '../message/message.ts'

/** Maximum links of a span: the default limit of the SDK, which drops links beyond it. */
const MAX_LINKS = 128

/** Port of PostgreSQL, which `server.port` omits. */
const POSTGRES_PORT = 5432

/** Error codes of PostgreSQL; those of Node, such as `EPIPE`, have no digits. */
const SQLSTATE = /^(?=.*[0-9])[0-9A-Z]{5}$/

/** Returns the attributes of a database, without user and password. */
function databaseAttributes(database: DatabaseAddress): Attributes {
  const attributes: Attributes = {
    'db.system.name': database.kind === 'sqlite' ? 'sqlite' : 'postgresql',
    'db.collection.name': 'messages',
  }
  const url = database.kind === 'postgres' ? URL.parse(database.url) : null
  if (!url) return attributes
  const { hostname, port, pathname, searchParams } = url
  // The URL has no host if it names a Unix socket or the host by an option.
  attributes['server.address'] = hostname || searchParams.get('host') || 'localhost'
  if (port !== '' && Number(port) !== POSTGRES_PORT) attributes['server.port'] = Number(port)
  if (pathname.length > 1) attributes['db.namespace'] = pathname.slice(1)
  return attributes
}

/** Returns the code of an error or of its cause, or the name of the error if there is none. */
function errorTypeOf(error: Error): string {
  const cause = error.cause instanceof Error ? error.cause : error
  return 'code' in cause ? String(cause.code) : error.name
}

/** Records an error, and sets the status of the span. */
function recordError(span: Span, error: unknown): void {
  const exception = error instanceof Error ? error : new Error(String(error))
  const type = errorTypeOf(exception)
  span.recordException(exception)
  span.setAttribute('error.type', type)
  if (SQLSTATE.test(type)) span.setAttribute('db.response.status_code', type)
  span.setStatus({ code: SpanStatusCode.ERROR, message: exception.message })
}

/** Stores a batch of messages, the oldest of which has waited for this many milliseconds. */
type Commit<Outcome> = (batch: NewMessage[], waitedMs: number) => Promise<Outcome[]>

/** Creates one span per commit, linked to the spans of the requests whose messages it stores. */
export class CommitTracer {
  readonly #tracer: Tracer
  readonly #attributes: Attributes
  /** Spans of requests, by the first message of each: all messages of a request share a commit. */
  readonly #requests = new WeakMap<NewMessage, SpanContext>()

  constructor(tracer: Tracer, database: DatabaseAddress) {
    this.#tracer = tracer
    this.#attributes = databaseAttributes(database)
  }

  /** Links the commit that will store these messages to the request, if the request is sampled. */
  link({ span }: FastifyRequest, [first]: readonly NewMessage[]): void {
    const context = span?.spanContext()
    if (!first || !context || (context.traceFlags & TraceFlags.SAMPLED) === 0) return
    this.#requests.set(first, context)
  }

  /** Returns a function that commits in a span. */
  wrap<Outcome>(commit: Commit<Outcome>): Commit<Outcome> {
    return async (batch, waitedMs) => {
      const span = this.#start(batch)
      try {
        return await commit(batch, waitedMs)
      } catch (error) {
        recordError(span, error)
        throw error
      } finally {
        span.end()
      }
    }
  }

  #start(batch: readonly NewMessage[]): Span {
    const links: Link[] = []
    for (const message of batch) {
      const context = this.#requests.get(message)
      if (context) links.push({ context })
      if (links.length === MAX_LINKS) break
    }
    // Only two operations or more are a batch. (OpenTelemetry semantic conventions, `db.operation.batch.size`.)
    const isBatch = batch.length > 1
    const operation = isBatch ? 'BATCH INSERT' : 'INSERT'
    const attributes: Attributes = { ...this.#attributes, 'db.operation.name': operation }
    if (isBatch) attributes['db.operation.batch.size'] = batch.length
    const options = { kind: SpanKind.CLIENT, attributes, links }
    // A trace of its own, as a span has only one parent and a commit serves several requests.
    return this.#tracer.startSpan(`${operation} messages`, options, ROOT_CONTEXT)
  }
}
