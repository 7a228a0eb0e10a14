import { type Static, Type } from '@sinclair/typebox'
import { filterProperties } from './messages.ts'
import { InboundMessage } from './webhook.ts'

/** A line of an import: a message as senders post it, and when it was stored, where that is known. */
export const BulkMessage = Type.Object({
  ...InboundMessage.properties,
  created_at: Type.Optional(
    Type.String({
      format: 'instant',
      'x-expected':
        'created_at must be an RFC 3339 timestamp that exists, such as 2025-01-15T10:00:05Z',
    }),
  ),
})

/** Which messages to export: the filters of a page. */
export const ExportFilter = Type.Object(filterProperties)

/** A line of an export, which an import takes. */
export type BulkLine = Required<Static<typeof BulkMessage>>
