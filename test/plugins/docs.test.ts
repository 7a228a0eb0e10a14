import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { folderOf, startApp } from '../service.ts'

interface Operation {
  summary?: string
  operationId?: string
  responses: Record<
    string,
    { description: string; content?: Record<string, { example?: unknown }> }
  >
}

t.test(
  '/openapi.json is valid OpenAPI 3.1 and describes the responses of every route',
  async (t) => {
    const { app } = await startApp(t)
    const response = await app.inject('/openapi.json')
    t.equal(response.statusCode, 200)
    const document = response.json()
    t.equal(document.openapi, '3.1.0')
    const { valid, errors } = await new Validator().validate(document)
    t.ok(valid, JSON.stringify(errors))

    const described: Record<string, string[]> = {}
    for (const [path, operations] of Object.entries<Record<string, Operation>>(document.paths)) {
      for (const [method, { summary, operationId, responses }] of Object.entries(operations)) {
        t.match(operationId, /^[a-z]+[A-Z][A-Za-z]+$/, `${method} ${path} has an operationId`)
        t.ok(summary, `${method} ${path} has a summary`)
        described[`${method} ${path}`] = Object.keys(responses)
        for (const [status, { content }] of Object.entries(responses)) {
          const example = content?.['application/json']?.example
          const isText = status === '200' && ['/metrics', '/messages/export'].includes(path)
          if (!isText) t.ok(example, `${method} ${path} ${status} has an example`)
        }
      }
    }
    const broken = ['400', '408', '431']
    const expected = {
      'post /webhook': ['200', '401', '413', '415', '422', '429', '500', '503'],
      'get /messages': ['200', '422', '500', '503'],
      'get /messages/export': ['200', '422', '426', '500', '503'],
      'get /messages/{message_id}': ['200', '404', '414', '422', '500', '503'],
      'get /feed': ['200', '410', '422', '500', '503'],
      'get /stats': ['200', '500', '503'],
      'get /stats/timeline': ['200', '422', '500', '503'],
      'get /senders': ['200', '422', '500', '503'],
      'get /rejected': ['200', '422', '500', '503'],
      'get /rejected/{id}': ['200', '404', '414', '500', '503'],
      'get /status': ['200', '500', '503'],
      'get /health/live': ['200'],
      'get /health/ready': ['200', '503'],
      'get /metrics': ['200'],
    }
    t.strictSame(
      described,
      Object.fromEntries(
        Object.entries(expected).map(([name, own]) => [name, [...own, ...broken].sort()]),
      ),
    )
    t.match(document.paths['/webhook'].post, {
      parameters: [{ in: 'header', name: 'x-signature', required: true }],
      requestBody: { content: { 'application/json': {}, 'application/*+json': {} } },
      responses: {
        200: { headers: { 'X-Request-ID': {} } },
        503: { headers: { 'X-Request-ID': {}, 'Retry-After': {} } },
      },
    })
  },
)

t.test('/docs loads nothing from other sites', async (t) => {
  const { app } = await startApp(t)
  const page = await app.inject('/docs')
  t.equal(page.statusCode, 200)
  const links = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = '']) => link)
  t.ok(links.length > 3)
  for (const link of links) {
    t.match(link, /^(\.|\/docs)\/static\//)
    const file = await app.inject(new URL(link, 'http://service/docs/').pathname)
    t.equal(file.statusCode, 200, link)
  }
  const initializer = await app.inject('/docs/static/swagger-initializer.js')
  t.match(initializer.body, /"layout":"BaseLayout"/, 'without a top bar')
  t.match(initializer.body, /"validatorUrl":null/)
  t.match(page.body, '<title>Lyftr Webhook API</title>')
})

/** A client program that uses the generated types. */
const PROGRAM = `
import type { components, operations, paths } from './api.ts'

type Query = NonNullable<operations['listMessages']['parameters']['query']>
const queries: Query[] = [{}, { limit: 10 }, { order: 'desc', from: '+1', to: '+2', cursor: 'x' }]
// @ts-expect-error
const wrong: Query = { order: 'sideways' }

type Page = paths['/messages']['get']['responses'][200]['content']['application/json']
const idsOf = ({ data, next }: Page): [string[], string | undefined] => [
  data.map((message: components['schemas']['StoredMessage']) => message.message_id),
  next,
]
type Failure = operations['postMessage']['responses'][422]['content']['application/json']
const reasons = ({ detail }: Failure): string[] =>
  detail.map(({ loc, msg }: components['schemas']['InputProblem']) => loc.join('.') + msg)
const busy: components['schemas']['Problem'] = { detail: 'too many' }
type Headers = operations['getStats']['responses'][503]['headers']
const wait = (headers: Headers): number => headers['Retry-After'] * 1000
const message: components['schemas']['InboundMessage'] =
  { message_id: 'm', from: '+1', to: '+2', ts: '2025-01-15T10:00:00Z' }
const link = (headers: operations['listMessages']['responses'][200]['headers']) => headers.Link?.length
const busiest = ({ messages_per_sender: [first] }: components['schemas']['Stats']) => first?.count

const feedAfter: operations['readFeed']['parameters']['query'] = { cursor: '42~yg3yyVqh', wait: 30 }
type FeedPage = paths['/feed']['get']['responses'][200]['content']['application/json']
const resume = ({ data, next, done }: FeedPage): [unknown, string, boolean] =>
  [data[0]?.payload, next, done]
type Stale = paths['/feed']['get']['responses'][410]['content']['application/json']
const oldest = ({ oldest }: Stale): string => oldest
const days: operations['getTimeline']['parameters']['query'] = { bucket: 'day', tz: 'Asia/Kolkata' }
// @ts-expect-error
const weeks: typeof days = { bucket: 'week' }
type Timeline = paths['/stats/timeline']['get']['responses'][200]['content']['application/json']
const counts = ({ data }: Timeline): [string, number][] =>
  data.map(({ start, count }) => [start, count])
const byNumber: operations['listSenders']['parameters']['query'] = { q: '+91', order: 'number' }
type Senders = paths['/senders']['get']['responses'][200]['content']['application/json']
const lastOf = ({ data, next }: Senders): [string | null | undefined, string | undefined] =>
  [data[0]?.last_message_ts, next]
export { busiest, busy, byNumber, counts, days, feedAfter, idsOf, lastOf, link, message, oldest }
export { queries, reasons, resume, wait, weeks, wrong }
`

t.test('a generated client compiles, with a type for each named schema', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['x'] })
  const document = (await app.inject('/openapi.json')).json()
  t.same(Object.keys(document.components.schemas).sort(), [
    'Accepted',
    'Alive',
    'DetailedMessage',
    'DetailedRejectedBody',
    'FeedPage',
    'InboundMessage',
    'InputProblem',
    'InputProblems',
    'MessagesPage',
    'Problem',
    'Ready',
    'RejectedBodiesPage',
    'RejectedBody',
    'Sender',
    'SenderCount',
    'SendersPage',
    'StaleCursor',
    'Stats',
    'Status',
    'StoredMessage',
    'Timeline',
    'TimelineBucket',
  ])
  const { get } = document.paths['/messages']
  const required = get.parameters.filter((one: { required?: boolean }) => one.required)
  t.same(required, [])
  t.ok(get.responses[401].headers['WWW-Authenticate'].required)
  t.notOk(get.responses[200].headers.Link.required)

  const folder = folderOf(t)
  writeFileSync(`${folder}/openapi.json`, JSON.stringify(document))
  writeFileSync(`${folder}/program.ts`, PROGRAM)
  const options = { strict: true, noEmit: true, allowImportingTsExtensions: true, types: [] }
  const compilerOptions = { ...options, module: 'nodenext', exactOptionalPropertyTypes: true }
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions }))
  const run = (tool: string, ...args: string[]) => {
    const path = new URL(`../../${tool}`, import.meta.url).pathname
    return spawnSync(process.execPath, [path, ...args], { cwd: folder, encoding: 'utf8' })
  }
  const generator = 'test/client/node_modules/openapi-typescript/bin/cli.js'
  const generated = run(generator, 'openapi.json', '-o', 'api.ts')
  t.equal(generated.status, 0, generated.stderr)
  const compiled = run('test/client/node_modules/typescript/bin/tsc', '-p', '.')
  t.equal(compiled.stdout, '')
  t.equal(compiled.status, 0, compiled.stderr)
})

t.test('has security schemes only if tokens are configured', async (t) => {
  const { app: open } = await startApp(t)
  t.notOk((await open.inject('/openapi.json')).json().components.securitySchemes)
  const { app: closed } = await startApp(t, { apiTokens: ['x'] })
  t.ok((await closed.inject('/openapi.json')).json().components.securitySchemes.API_TOKEN)
})
