import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { parseConfig } from '../../src/config.ts'
import { startApp } from '../service.ts'
import { anyMetaBody } from './meta-arbitraries.ts'
import {
  APP_SECRET,
  bodyOf,
  METADATA,
  messagesChange,
  metaHeaders,
  textMessage,
  VERIFY_TOKEN,
} from './meta-bodies.ts'

const { sources } = parseConfig({
  META_APP_SECRET: APP_SECRET,
  META_APP_SECRET_PREVIOUS: 'former',
  META_VERIFY_TOKEN: VERIFY_TOKEN,
})

const ALL = { order: 'asc' as const, limit: 100, offset: 0, details: true }

const start = (t: Test) => startApp(t, { sources })

const post = (app: App, body: string | Buffer, headers = metaHeaders(body)) =>
  app.inject({ method: 'POST', url: '/webhook/meta', headers, payload: body })

/** Posts a body, and asserts that it is accepted. */
async function accept(t: Test, app: App, body: string | Buffer): Promise<void> {
  const response = await post(app, body)
  t.equal(response.statusCode, 200, response.body)
  t.equal(response.body, '{"status":"ok"}')
}

/** Returns the value of a series of the metrics. */
async function metric(app: App, series: string): Promise<number> {
  const { body } = await app.inject('/metrics')
  const line = body.split('\n').find((each) => each.startsWith(`${series} `))
  return Number(line?.slice(series.length))
}

t.test('returns the challenge if the verify token is right, and 403 otherwise', async (t) => {
  const { app } = await start(t)
  const challenge = (query: string) => app.inject(`/webhook/meta?${query}`)
  const token = encodeURIComponent(VERIFY_TOKEN)
  const right = await challenge(
    `hub.mode=subscribe&hub.verify_token=${token}&hub.challenge=1158201444`,
  )
  t.equal(right.statusCode, 200)
  t.equal(right.body, '1158201444')
  t.match(right.headers['content-type'], /^text\/plain/)
  for (const query of [
    '',
    'hub.mode=subscribe&hub.challenge=1',
    'hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1',
    `hub.mode=unsubscribe&hub.verify_token=${token}&hub.challenge=1`,
    `hub.mode=subscribe&hub.verify_token=${token}`,
    `hub.mode=subscribe&hub.verify_token=${token}&hub.verify_token=${token}&hub.challenge=1`,
    `hub.mode=subscribe&hub.verify_token=${token}&hub.challenge=1&hub.challenge=2`,
    `hub.mode=subscribe&hub.verify_token[]=${token}&hub.challenge=1`,
  ]) {
    const wrong = await challenge(query)
    t.equal(wrong.statusCode, 403, query)
    t.strictSame(wrong.json(), { detail: 'wrong verify token' })
  }
})

t.test('returns 403 to every challenge if META_VERIFY_TOKEN is not set', async (t) => {
  const { app } = await startApp(t, { sources: parseConfig({ META_APP_SECRET: 'x' }).sources })
  const query = 'hub.mode=subscribe&hub.verify_token=&hub.challenge=1'
  t.equal((await app.inject(`/webhook/meta?${query}`)).statusCode, 403)
})

t.test('returns 429 after too many wrong verify tokens', async (t) => {
  const { app } = await startApp(t, { sources, maxFailuresPerMinute: 2 })
  const statuses = []
  for (let n = 0; n < 3; n++) statuses.push((await app.inject('/webhook/meta')).statusCode)
  t.strictSame(statuses, [403, 403, 429])
})

t.test('registers the routes of configured sources only', async (t) => {
  const without = await startApp(t)
  t.equal((await post(without.app, '{}')).statusCode, 404)
  t.equal((await without.app.inject('/webhook/meta')).statusCode, 404)
  t.notMatch((await without.app.inject('/openapi.json')).body, /webhook\/meta/)

  const { app } = await start(t)
  t.equal((await app.inject({ method: 'POST', url: '/webhook', payload: '{}' })).statusCode, 404)
  t.equal((await app.inject('/health/ready')).statusCode, 200)
  const { paths } = (await app.inject('/openapi.json')).json()
  t.strictSame(
    Object.keys(paths).filter((path) => path.startsWith('/webhook')),
    ['/webhook/meta'],
  )
})

t.test('returns 401 for a wrong signature, and accepts the former secret', async (t) => {
  const { app, log } = await start(t)
  const body = bodyOf(messagesChange([textMessage('a')]))
  for (const headers of [{}, metaHeaders(body, 'other'), { 'x-signature': 'sha256=00' }]) {
    const response = await post(app, body, headers)
    t.equal(response.statusCode, 401)
    t.strictSame(response.json(), { detail: 'invalid signature' })
  }
  t.match(log.at(-1), { result: 'invalid_signature', path: '/webhook/meta' })
  t.equal((await post(app, body, metaHeaders(body, 'former'))).statusCode, 200)
  t.equal((await app.store.stats()).total_messages, 1)
  t.equal(await metric(app, 'webhook_signatures_total{source="meta",key="previous"}'), 1)
  t.equal(
    await metric(app, 'webhook_source_requests_total{source="meta",result="invalid_signature"}'),
    3,
  )
  t.equal(await metric(app, 'webhook_requests_total{result="invalid_signature"}'), 3)
})

/** A message of each type, with the text that is stored. Meta's documented examples, shortened. */
const TYPES: [type: string, fields: object, text: string | null][] = [
  ['text', { text: { body: 'Ärger 😀' } }, 'Ärger 😀'],
  ['image', { image: { id: '1', mime_type: 'image/jpeg', sha256: 'x', caption: 'Look' } }, 'Look'],
  ['image', { image: { id: '1', mime_type: 'image/jpeg', sha256: 'x' } }, null],
  ['video', { video: { id: '2', caption: 'Watch' } }, 'Watch'],
  ['document', { document: { id: '3', filename: 'a.pdf', caption: 'Read' } }, 'Read'],
  ['audio', { audio: { id: '4', voice: true } }, null],
  ['sticker', { sticker: { id: '5', animated: false } }, null],
  ['location', { location: { latitude: 37.44, longitude: -122.16, name: 'HQ' } }, null],
  ['contacts', { contacts: [{ name: { formatted_name: 'Ann' } }] }, null],
  ['reaction', { reaction: { message_id: 'wamid.1', emoji: '👍' } }, null],
  ['order', { order: { catalog_id: '6', text: 'hi', product_items: [] } }, null],
  ['button', { button: { text: 'Yes', payload: 'YES' } }, 'Yes'],
  [
    'interactive',
    { interactive: { type: 'button_reply', button_reply: { id: '1', title: 'Later' } } },
    'Later',
  ],
  [
    'interactive',
    {
      interactive: {
        type: 'list_reply',
        list_reply: { id: '1', title: 'Express', description: 'Next day' },
      },
    },
    'Express',
  ],
  [
    'interactive',
    { interactive: { type: 'nfm_reply', nfm_reply: { body: 'Sent', response_json: '{"a":1}' } } },
    'Sent',
  ],
  ['system', { system: { type: 'user_changed_number', new_wa_id: '1', body: 'changed' } }, null],
  ['revoke', { revoke: { original_message_id: 'wamid.1' } }, null],
  ['unsupported', { errors: [{ code: 131_051, title: 'Message type unknown' }] }, null],
  ['hologram', { hologram: { text: 'from the future' } }, null],
  ['constructor', {}, null],
  ['text', { text: 'not an object' }, null],
  ['text', { text: { body: 42 } }, null],
]

t.test('stores every type of message with its text and its payload', async (t) => {
  const { app } = await start(t)
  const messages = TYPES.map(([type, fields], n) => ({
    from: '919876543210',
    id: `wamid.${String(n).padStart(2, '0')}=`,
    timestamp: '1736935200',
    type,
    ...fields,
  }))
  await accept(t, app, bodyOf(messagesChange(messages)))
  const { data, total } = await app.store.page(ALL)
  t.equal(total, TYPES.length)
  data.forEach((stored, n) => {
    const [type, , text] = TYPES[n] ?? []
    const { created_at, ...rest } = stored
    t.strictSame(rest, {
      message_id: messages[n]?.id,
      from_msisdn: '+919876543210',
      to_msisdn: '+14155550100',
      ts: '2025-01-15T10:00:00Z',
      text,
      source: 'meta',
      type,
      payload: JSON.stringify(messages[n]),
    })
  })
  const found = await app.inject('/messages?source=meta&type=image&include=payload&limit=1')
  t.strictSame(found.json().data[0].payload, messages[1])
})

t.test('stores a body of 1,000 messages in entries, changes and messages of any mix', async (t) => {
  const { app, log } = await start(t)
  const messages = Array.from({ length: 1000 }, (_, n) => textMessage(`m${n}`, `text ${n}`))
  const slice = (from: number, to: number) => messagesChange(messages.slice(from, to))
  const entry = [
    { id: '0', changes: [slice(0, 300), slice(300, 301), { field: 'account_alerts', value: {} }] },
    { id: '1', changes: [] },
    { id: '2', changes: [slice(301, 1000)] },
  ]
  await accept(t, app, JSON.stringify({ object: 'whatsapp_business_account', entry }))
  t.equal((await app.store.stats()).total_messages, 1000)
  t.match(
    { ...log.at(-1), count: [log.at(-1)?.message_ids].flat().length },
    {
      count: 10,
      path: '/webhook/meta',
      status: 200,
      result: 'created',
      messages: 1000,
      statuses: 0,
      created: 1000,
      duplicate: 0,
      conflicting: 0,
      not_stored: { other_field: 1 },
      message_ids: messages.slice(0, 10).map(({ id }) => id),
    },
  )
  t.notMatch(JSON.stringify(log), /text 1|919876543210/)
})

t.test('stores a body of 3 MB, with texts of any length', async (t) => {
  const { app } = await start(t)
  const long = '😀'.repeat(700_000)
  const body = bodyOf(messagesChange([textMessage('a', long), textMessage('b')]))
  const padded = body + ' '.repeat(3_000_000 - Buffer.byteLength(body))
  await accept(t, app, padded)
  t.equal((await app.store.message('a'))?.text, long)
  t.equal((await app.store.page({ ...ALL, q: '😀😀😀😀' })).total, 1)
  const larger = ' '.repeat(3 * 1024 * 1024 + 1)
  t.equal((await post(app, larger, {})).statusCode, 413)
})

t.test('stores messages of senders without a phone number', async (t) => {
  const { app } = await start(t)
  const sender = 'US.ENT.13491208655302741918'
  const { from, ...message } = textMessage('a')
  await accept(t, app, bodyOf(messagesChange([{ ...message, from_user_id: sender }])))
  await accept(t, app, bodyOf(messagesChange([{ ...message, id: 'b' }])))
  t.equal((await app.store.message('a'))?.from_msisdn, sender)
  t.equal((await app.store.message('b'))?.from_msisdn, '')
  const response = await app.inject(`/messages?from=${sender}`)
  t.equal(response.json().total, 1)
})

t.test('counts receipts and other updates, and stores none of them', async (t) => {
  const { app, log } = await start(t)
  const statuses = ['sent', 'delivered', 'read', 'failed', 'played', 'sent', 'teleported', 7].map(
    (status) => ({ id: 'wamid.1', status, timestamp: '1736935200', recipient_id: '1' }),
  )
  const body = bodyOf(
    { field: 'messages', value: { metadata: METADATA, statuses, errors: [{ code: 1 }] } },
    { field: 'message_template_status_update', value: {} },
  )
  await accept(t, app, body)
  t.equal((await app.store.stats()).total_messages, 0)
  t.match(log.at(-1), {
    result: 'duplicate',
    messages: 0,
    statuses: 8,
    not_stored: { other_field: 1, error: 1 },
  })
  const counted = (kind: string) =>
    metric(app, `webhook_items_not_stored_total{source="meta",kind="${kind}"}`)
  t.equal(await counted('status_sent'), 2)
  t.equal(await counted('status_delivered'), 1)
  t.equal(await counted('status_other'), 2)
  t.equal(await counted('other_field'), 1)
  t.equal(await counted('no_message_id'), 0)
})

t.test('accepts signed bodies of any content, and stores what it can', async (t) => {
  const { app, log } = await start(t)
  for (const [body, notStored] of [
    ['', { not_json: 1 }],
    ['not JSON', { not_json: 1 }],
    [Buffer.from([0xff]), { not_json: 1 }],
    ['null', { malformed: 1 }],
    ['[]', { malformed: 1 }],
    ['{}', { malformed: 1 }],
    ['{"entry":{}}', { malformed: 1 }],
    ['{"entry":[]}', undefined],
    ['{"entry":[{}]}', undefined],
    ['{"entry":[null,{"changes":7}]}', { malformed: 2 }],
    [bodyOf({ field: 'messages', value: null }), { malformed: 1 }],
    [bodyOf(messagesChange({ id: 'x' })), { malformed: 1 }],
    [bodyOf(messagesChange([null, 'x', textMessage('neighbour')])), { malformed: 2 }],
    [
      bodyOf(messagesChange([{}, textMessage(''), textMessage('x'.repeat(513))])),
      { no_message_id: 3 },
    ],
    [
      bodyOf(messagesChange([textMessage('a\0'), { ...textMessage('x'), id: 7 }])),
      { no_message_id: 2 },
    ],
    [`{"entry":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, { malformed: 1 }],
  ] as const) {
    await accept(t, app, body)
    t.strictSame(log.at(-1)?.not_stored, notStored)
  }
  const { data } = await app.store.page(ALL)
  t.strictSame(
    data.map(({ message_id }) => message_id),
    ['neighbour'],
  )
  const headers = { ...metaHeaders('{}'), 'content-type': 'text/plain' }
  t.equal((await post(app, '{}', headers)).statusCode, 200)
  const zipped = { ...metaHeaders('{}'), 'content-encoding': 'gzip' }
  t.equal((await post(app, '{}', zipped)).statusCode, 200)
})

t.test('replaces NUL and unpaired surrogates, and an invalid timestamp', async (t) => {
  const { app } = await start(t)
  const message = textMessage('a', 'NUL \0, unpaired \ud800', { timestamp: 'never' })
  await accept(t, app, bodyOf(messagesChange([message])))
  const stored = await app.store.message('a')
  t.equal(stored?.text, 'NUL \ufffd, unpaired \ufffd')
  t.strictSame(JSON.parse(stored?.payload ?? ''), message)
  t.equal(stored?.ts, stored?.created_at, 'ts is created_at without a valid timestamp')
})

t.test('stores a deeply nested message, and serves it', async (t) => {
  const { app } = await start(t)
  const depth = 300_000
  const nested = '['.repeat(depth) + ']'.repeat(depth)
  const body = bodyOf(messagesChange([textMessage('a', 'Hello', { deep: 'NESTED' })]))
  await accept(t, app, body.replace('"NESTED"', nested))
  // Whether its JSON can be written depends on the version of Node.
  t.equal((await app.store.message('a'))?.text, 'Hello')
  t.equal((await app.inject('/messages/a')).statusCode, 200)
  t.equal((await app.inject('/messages?include=payload')).statusCode, 200)
})

t.test('stores an id once if it repeats within a body or in concurrent bodies', async (t) => {
  const { app, log } = await start(t)
  const messages = ['a', 'a', 'b'].map((id) => textMessage(id))
  const body = bodyOf(messagesChange([...messages, textMessage('b', 'other')]))
  const responses = await Promise.all(Array.from({ length: 20 }, () => post(app, body)))
  t.ok(responses.every(({ statusCode }) => statusCode === 200))
  t.equal((await app.store.stats()).total_messages, 2)
  await app.close()
  const sum = (field: string) => log.reduce((all, line) => all + Number(line[field] ?? 0), 0)
  t.strictSame([sum('created'), sum('duplicate'), sum('conflicting')], [2, 58, 20])
})

t.test('returns 503 with Retry-After if the store is closed', async (t) => {
  const { app } = await start(t)
  await app.store.close()
  const response = await post(app, bodyOf(messagesChange([textMessage('a'), textMessage('b')])))
  t.equal(response.statusCode, 503)
  t.equal(response.headers['retry-after'], '1')
})

/** Returns the ids of all messages at their documented place that a store can hold. */
function storableIds(body: unknown): string[] {
  const list = (value: unknown) => (Array.isArray(value) ? value : [])
  return list((body as { entry?: unknown })?.entry)
    .flatMap((entry) => list(entry?.changes))
    .filter((change) => change?.field === 'messages')
    .flatMap((change) => list(change?.value?.messages))
    .map((message) => message?.id)
    .filter((id) => typeof id === 'string' && id !== '' && id.isWellFormed() && !id.includes('\0'))
}

t.test('accepts arbitrary and malformed envelopes, and stores each message once', async (t) => {
  const { app } = await start(t)
  const expected = new Set<string>()
  await fc.assert(
    fc.asyncProperty(anyMetaBody, async (body) => {
      const json = JSON.stringify(body)
      const response = await post(app, json)
      if (response.statusCode !== 200) throw new Error(`${response.statusCode} for ${json}`)
      for (const id of storableIds(body)) {
        expected.add(id)
        if (!(await app.store.message(id))) throw new Error(`${JSON.stringify(id)} is not stored`)
      }
    }),
    { numRuns: 300 },
  )
  t.equal((await app.store.stats()).total_messages, expected.size)
  for (const order of ['asc', 'desc']) {
    t.equal((await app.inject(`/messages?order=${order}&include=payload`)).statusCode, 200)
  }
})
