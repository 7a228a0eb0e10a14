import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { parseConfig } from '../../src/config.ts'
import { startApp } from '../service.ts'

t.test('returns the version, the configured sources and the backlog', async (t) => {
  const { sources } = parseConfig({ WEBHOOK_SECRET: 's', META_APP_SECRET: 'm' })
  const { app } = await startApp(t, { sources })
  const response = await app.inject('/status')
  t.match(response.json(), {
    version: packageJson.version,
    started_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    sources: [
      { name: 'webhook', path: '/webhook' },
      { name: 'meta', path: '/webhook/meta' },
    ],
    backlog_messages: 0,
  })
})

t.test('requires a token if one is configured', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['secret'] })
  t.equal((await app.inject('/status')).statusCode, 401)
  const headers = { authorization: 'Bearer secret' }
  t.equal((await app.inject({ url: '/status', headers })).statusCode, 200)
})
