import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { MessagesQuery } from '../src/schemas/messages.ts'
import { InboundMessage } from '../src/schemas/webhook.ts'
import { allowedBy, deviatingFrom } from './arbitraries.ts'
import { sign } from './service.ts'
import { anyMetaBody } from './sources/meta-arbitraries.ts'
import { metaHeaders } from './sources/meta-bodies.ts'
import { STANDARD_SECRET } from './sources/posts.ts'

/** A generated request. */
export interface GeneratedRequest {
  bytes: Buffer
  /** Method and URL; undefined for bytes that may not be a single request. */
  requestLine: { method: string; url: string } | undefined
}

const METHODS = [
  'GET',
  'POST',
  'HEAD',
  'PUT',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'PROPFIND',
  'TRACE',
  'LOCK',
]

const PATHS = [
  '/webhook',
  '/webhook/meta',
  '/webhook/standard',
  '/webhook/meta?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1',
  '/messages',
  '/messages/m1',
  '/stats',
  '/health/live',
  '/health/ready',
  '/metrics',
  '/openapi.json',
  '/docs',
  '/docs/static/index.html',
]

const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/cloudevents+json',
  'APPLICATION/JSON',
  'text/plain',
  'multipart/form-data; boundary=x',
  'nonsense',
  ';',
]

/** Values of headers: visible ASCII characters and bytes from 0x80. */
const headerValue = fc.stringMatching(/^[\x21-\x7e\x80-\xff]{0,60}$/)

/** Headers that do not affect the length of a request. */
const header = fc.oneof(
  fc.tuple(fc.stringMatching(/^[A-Za-z!#$%&'*+.^_`|~-]{1,20}$/), headerValue),
  fc.tuple(
    fc.constantFrom(
      ...['X-Request-ID', 'Accept', 'Accept-Version', 'Accept-Encoding', 'Authorization', 'Cookie'],
      ...[
        'Origin',
        'If-None-Match',
        'Range',
        'X-Forwarded-For',
        'X-Signature',
        'Forwarded',
        'Upgrade',
      ],
      ...['Access-Control-Request-Method', 'Content-Encoding', 'X-HTTP-Method-Override', 'Expect'],
    ),
    fc.oneof(
      headerValue,
      fc.constantFrom('*', 'bytes=0-1', 'gzip', '100-continue', 'websocket', '1.0.0'),
    ),
  ),
)

const headers = fc.array(header, { maxLength: 4 })

function request(
  method: string,
  url: string,
  lines: [string, string][],
  body: Uint8Array = new Uint8Array(),
): GeneratedRequest {
  const head = [
    `${method} ${url} HTTP/1.1`,
    'Host: x',
    ...lines.map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${body.length}`,
  ]
  return {
    bytes: Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), body]),
    requestLine: { method, url },
  }
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value))

const body = fc.oneof(
  { weight: 6, arbitrary: allowedBy(InboundMessage).map(json) },
  { weight: 6, arbitrary: deviatingFrom(InboundMessage).map(json) },
  { weight: 2, arbitrary: fc.json().map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  // Deeply nested, long, or larger than the limit.
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('[', '{"a":', '"', '1', ' '), fc.integer({ min: 1, max: 70_000 }))
      .map(([part, times]) => Buffer.from(part.repeat(Math.ceil(times / part.length)))),
  },
)

const signature = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constant((bytes: Buffer): [string, string][] => [['X-Signature', sign(bytes)]]),
  },
  {
    weight: 1,
    arbitrary: fc.constant((bytes: Buffer): [string, string][] => [
      ['X-Signature', `sha256=${sign(bytes).toUpperCase()}`],
    ]),
  },
  {
    weight: 1,
    arbitrary: headerValue.map((value) => (): [string, string][] => [['X-Signature', value]]),
  },
  { weight: 1, arbitrary: fc.constant((): [string, string][] => []) },
)

const type = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('application/json', null) },
  { weight: 1, arbitrary: fc.constantFrom(...TYPES) },
)

const post = fc
  .tuple(body, signature, type, headers)
  .map(([bytes, signed, type, others]) =>
    request(
      'POST',
      '/webhook',
      [
        ...others,
        ...signed(bytes),
        ...(type === null ? [] : [['Content-Type', type] as [string, string]]),
      ],
      bytes,
    ),
  )

const metaPost = fc
  .tuple(fc.oneof(anyMetaBody.map(json), body), headers)
  .map(([bytes, others]) =>
    request('POST', '/webhook/meta', [...others, ...Object.entries(metaHeaders(bytes))], bytes),
  )

/** A message of Standard Webhooks, bare or in an envelope, of which any field may be missing or wrong. */
const standardBody = fc.oneof(
  body,
  fc
    .record(
      {
        type: fc.jsonValue(),
        timestamp: fc.oneof(fc.constant('2025-01-15T10:00:00Z'), fc.jsonValue()),
        data: fc.oneof(allowedBy(InboundMessage), deviatingFrom(InboundMessage), fc.jsonValue()),
      },
      { requiredKeys: [] },
    )
    .map(json),
)

const standardPost = fc
  .tuple(standardBody, fc.stringMatching(/^[\x21-\x7e\x80-\xff]{1,60}$/), headers)
  .map(([bytes, id, others]) => {
    const timestamp = String(Math.floor(Date.now() / 1000))
    const content = [Buffer.from(`${id}.${timestamp}.`, 'latin1'), bytes]
    const key = Buffer.from(STANDARD_SECRET.replace('whsec_', ''), 'base64')
    const hmac = createHmac('sha256', key).update(Buffer.concat(content))
    return request(
      'POST',
      '/webhook/standard',
      [
        ...others,
        ['webhook-id', id],
        ['webhook-timestamp', timestamp],
        ['webhook-signature', `v1,${hmac.digest('base64')}`],
      ],
      bytes,
    )
  })

/** Returns a query parameter for a value of any type. */
function parameter([name, value]: [string, unknown]): string {
  const shown = typeof value === 'string' ? value : JSON.stringify(value)
  return `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(shown.toWellFormed())}`
}

const query = fc.oneof(allowedBy(MessagesQuery), deviatingFrom(MessagesQuery)).map((values) =>
  Object.entries(values as object)
    .map(parameter)
    .join('&'),
)

/** Request targets, including invalid ones. */
const target = fc.stringMatching(/^[\x21-\x7e\x80-\xff]{0,40}$/)

const get = fc
  .tuple(
    fc.constantFrom('/messages', '/messages', '/messages', '/stats', '/health/live', '/metrics'),
    fc.oneof({ weight: 3, arbitrary: query }, { weight: 1, arbitrary: target }),
    headers,
  )
  .map(([path, search, others]) => request('GET', `${path}?${search}`, others))

const anywhere = fc
  .tuple(
    fc.constantFrom(...METHODS),
    fc.oneof(
      fc.constantFrom(...PATHS),
      target.map((path) => `/${path}`),
      target.map((id) => `/messages/${id}`),
      fc.webUrl({ withQueryParameters: true }),
    ),
    headers,
    fc.uint8Array({ maxLength: 50 }),
  )
  .map(([method, url, others, bytes]) => request(method, url, others, bytes))

/** Requests in which bytes are removed, inserted and replaced. */
const mutated = fc
  .tuple(
    fc.oneof(post, metaPost, standardPost, get, anywhere),
    fc.array(fc.tuple(fc.nat(400), fc.nat(8), fc.uint8Array({ maxLength: 8 })), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([{ bytes }, changes]) => {
    let changed = bytes
    for (const [at, removed, inserted] of changes) {
      const from = at % (changed.length + 1)
      changed = Buffer.concat([
        changed.subarray(0, from),
        inserted,
        changed.subarray(from + removed),
      ])
    }
    return { bytes: changed, requestLine: undefined }
  })

const noise = fc
  .uint8Array({ maxLength: 400 })
  .map((bytes) => ({ bytes: Buffer.from(bytes), requestLine: undefined }))

/** Requests of every kind, valid and invalid. */
export const requests: fc.Arbitrary<GeneratedRequest> = fc.oneof(
  { weight: 8, arbitrary: post },
  { weight: 4, arbitrary: metaPost },
  { weight: 4, arbitrary: standardPost },
  { weight: 6, arbitrary: get },
  { weight: 5, arbitrary: anywhere },
  { weight: 2, arbitrary: mutated },
  { weight: 1, arbitrary: noise },
)
