import t from 'tap'
import { postAll, startApp } from '../service.ts'

t.test('counts messages and senders in the format of the legacy Python service', async (t) => {
  const { app } = await startApp(t)
  t.strictSame((await app.inject('/stats')).json(), {
    total_messages: 0,
    senders_count: 0,
    messages_per_sender: [],
    first_message_ts: null,
    last_message_ts: null,
  })
  await postAll(t, app, [
    { message_id: '1', from: '+20', ts: '2025-01-15T10:00:00.5Z' },
    { message_id: '2', from: '+20', ts: '2025-01-15T10:00:00Z' },
    { message_id: '3', from: '+10', ts: '2025-01-15T10:00:00.25Z' },
    { message_id: '4', from: '+30', ts: '2025-01-15T10:00:00.1Z' },
  ])
  t.strictSame((await app.inject('/stats')).json(), {
    total_messages: 4,
    senders_count: 3,
    messages_per_sender: [
      { from: '+20', count: 2 },
      { from: '+10', count: 1 },
      { from: '+30', count: 1 },
    ],
    first_message_ts: '2025-01-15T10:00:00Z',
    last_message_ts: '2025-01-15T10:00:00.5Z',
  })
})
