import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { startApp } from '../helper.ts'

interface Operation {
  summary?: string
  responses: Record<
    string,
    { description: string; content?: Record<string, { example?: unknown }> }
  >
}

t.test(
  '/openapi.json is valid OpenAPI 3.1 and describes every route with its errors',
  async (t) => {
    const { app } = await startApp(t)
    const answer = await app.inject('/openapi.json')
    t.equal(answer.statusCode, 200)
    const document = answer.json()
    t.equal(document.openapi, '3.1.0')
    const { valid, errors } = await new Validator().validate(document)
    t.ok(valid, JSON.stringify(errors))

    const described: Record<string, string[]> = {}
    for (const [path, operations] of Object.entries<Record<string, Operation>>(document.paths)) {
      for (const [method, { summary, responses }] of Object.entries(operations)) {
        t.ok(summary, `${method} ${path} says what it is for`)
        described[`${method} ${path}`] = Object.keys(responses)
        for (const [status, { content }] of Object.entries(responses)) {
          const example = content?.['application/json']?.example
          if (path !== '/metrics') t.ok(example, `${method} ${path} ${status} has an example`)
        }
      }
    }
    const broken = ['400', '408', '431']
    const expected = {
      'post /webhook': ['200', '401', '413', '415', '422', '429', '500', '503'],
      'get /messages': ['200', '422', '500', '503'],
      'get /messages/{message_id}': ['200', '404', '414', '422', '500', '503'],
      'get /stats': ['200', '500', '503'],
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

t.test('/docs renders it and fetches nothing from elsewhere', async (t) => {
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
  t.match(initializer.body, /"validatorUrl":null/)
})
