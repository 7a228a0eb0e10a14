import { type Static, Type } from '@sinclair/typebox'
import { ref } from './component.ts'

/** Schema of the `ts` of one message; null if there are no messages. */
const extreme = (description: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], description })

/** Number of messages of a sender. */
export const SenderCount = Type.Object(
  { from: Type.String(), count: Type.Integer() },
  { $id: 'SenderCount', title: 'SenderCount' },
)

/** Statistics of all messages. */
export const Stats = Type.Object(
  {
    total_messages: Type.Integer(),
    senders_count: Type.Integer({ description: 'Number of distinct senders.' }),
    messages_per_sender: Type.Array(ref(SenderCount), {
      description:
        'The ten senders with the most messages, in descending order of messages, then in order of sender.',
    }),
    first_message_ts: extreme(
      'The earliest timestamp, as the sender wrote it; null if there are no messages.',
    ),
    last_message_ts: extreme(
      'The latest timestamp, as the sender wrote it; null if there are no messages.',
    ),
  },
  {
    $id: 'Stats',
    title: 'Stats',
    description: 'Statistics of all messages.',
    examples: [
      {
        total_messages: 1523,
        senders_count: 45,
        messages_per_sender: [{ from: '+919876543210', count: 342 }],
        first_message_ts: '2025-01-10T09:00:00Z',
        last_message_ts: '2025-01-20T18:30:00Z',
      },
    ],
  },
)

/** Statistics of all messages. */
export type Stats = Static<typeof Stats>
