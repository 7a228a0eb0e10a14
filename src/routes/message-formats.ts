import { Type } from '@sinclair/typebox'
import { stringify } from 'csv-stringify/sync'
import type { FastifyRequest } from 'fastify'
import type { FeedMessage } from '../db/message-store.ts'
import type { ALL_COLUMNS } from '../message/columns.ts'
import type { NewMessage } from '../message/message.ts'

/** Returns the JSON of a message with the details that it has, on one line. */
export function messageJson({
  position: _position,
  payload,
  ...message
}: NewMessage & Partial<Pick<FeedMessage, 'position'>>): string {
  const fields = JSON.stringify(message)
  if (payload === undefined) return fields
  // Line breaks in JSON are between tokens, and would end the line.
  return `${fields.slice(0, -1)},"payload":${payload?.replaceAll(/[\r\n]/g, ' ') ?? 'null'}}`
}

/** The fields of messages in a response. */
type Columns = readonly (typeof ALL_COLUMNS)[number][]

/** A text format of messages. */
export interface MessageFormat {
  contentType: string
  /** Name under which clients save an export. */
  fileName: string
  /** Returns the text before the first message. */
  start(columns: Columns): string
  /** Returns the text of messages. */
  write(messages: NewMessage[], columns: Columns): string
}

const CSV_OPTIONS = {
  record_delimiter: '\r\n',
  quote_record_delimiter: true,
  // As in PostgreSQL's COPY, so that an empty text differs from null.
  quoted_match: /^$/,
  // Spreadsheets would run texts of senders: https://owasp.org/www-community/attacks/CSV_Injection
  escape_formulas: true,
}

/** Content type of the responses that Fastify serialises. */
export const JSON_TYPE = 'application/json; charset=utf-8'

/** RFC 4180 with a header line. */
const csv: MessageFormat = {
  contentType: 'text/csv; charset=utf-8',
  fileName: 'messages.csv',
  start: (columns) => stringify([], { ...CSV_OPTIONS, columns, header: true }),
  write: (messages, columns) => stringify(messages, { ...CSV_OPTIONS, columns }),
}

/** NDJSON: one message per line, with all fields that the message has. */
export const ndjson: MessageFormat = {
  contentType: 'application/x-ndjson; charset=utf-8',
  fileName: 'messages.ndjson',
  start: () => '',
  write: (messages) => messages.map((message) => `${messageJson(message)}\n`).join(''),
}

/** The content of the text formats in the documentation. */
export const textContent = {
  'application/x-ndjson': {
    schema: Type.String({ description: 'One JSON object a line: a message.' }),
  },
  'text/csv': {
    schema: Type.String({
      description:
        'CSV as in RFC 4180, with a header line. A value that begins with `=`, `+`, `-`, `@`, a tab or a carriage return has an apostrophe before it.',
    }),
  },
}

/** Returns the format that a request prefers; undefined for JSON and for other media types. */
export function messageFormatOf(request: FastifyRequest): MessageFormat | undefined {
  const type = request.accepts().type([JSON_TYPE, csv.contentType, ndjson.contentType])
  return [csv, ndjson].find(({ contentType }) => contentType === type)
}
