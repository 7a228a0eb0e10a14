import { Type } from '@sinclair/typebox'

/** Version, sources and backlog of the instance that responds. */
export const Status = Type.Object(
  {
    version: Type.String({ description: 'Version of the service.' }),
    started_at: Type.String({ description: 'Time at which the instance started, UTC.' }),
    sources: Type.Array(
      Type.Object({
        name: Type.String({ description: 'Value of `source` in messages.' }),
        path: Type.String({ description: 'Path that its messages are posted to.' }),
      }),
      { description: 'The sources that are configured.' },
    ),
    backlog_messages: Type.Integer({
      description: 'Stored messages that the counters and indexes do not cover yet.',
    }),
  },
  {
    $id: 'Status',
    title: 'Status',
    description: 'Version, sources and backlog of the instance that responds.',
    examples: [
      {
        version: '1.0.0',
        started_at: '2025-01-15T09:00:00.000Z',
        sources: [{ name: 'webhook', path: '/webhook' }],
        backlog_messages: 0,
      },
    ],
  },
)
