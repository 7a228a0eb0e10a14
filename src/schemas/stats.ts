import { type Static, Type } from '@sinclair/typebox'
import { ref } from './component.ts'

const extreme = (description: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], description })

/** How many messages a sender has sent. */
export const SenderCount = Type.Object(
  { from: Type.String(), count: Type.Integer() },
  { $id: 'SenderCount', title: 'SenderCount' },
)

/** Totals over every message. */
export const Stats = Type.Object(
  {
    total_messages: Type.Integer(),
    senders_count: Type.Integer({ description: 'How many different senders there are.' }),
    messages_per_sender: Type.Array(ref(SenderCount), {
      description: 'The ten busiest senders, the busiest first; equal counts by sender.',
    }),
    first_message_ts: extreme('The earliest instant, as it was sent; null when there is none.'),
    last_message_ts: extreme('The latest instant, as it was sent; null when there is none.'),
  },
  {
    $id: 'Stats',
    title: 'Stats',
    description: 'Totals over every message.',
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
export type Stats = Static<typeof Stats>
