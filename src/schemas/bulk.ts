import { type Static, Type } from '@sinclair/typebox'
import { filterProperties } from './messages.ts'
import { InboundMessage } from './webhook.ts'

/** A line of an import: a message as senders post it, with the time at which it was stored, if known. */
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

/** The messages to export: the filters of `GET /messages`. */
export const ExportFilter = Type.Object(filterProperties)

/** A line of an export, which is valid input of an import. */
export type BulkLine = Required<Static<typeof BulkMessage>>
