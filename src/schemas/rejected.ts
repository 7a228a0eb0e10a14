import { type Static, Type } from '@sinclair/typebox'
import { ref } from './component.ts'
import { InputProblem } from './problem.ts'

/** Bodies per page if `limit` is absent. */
export const DEFAULT_LIMIT = 50

const properties = {
  id: Type.Integer({ description: 'Number of the body, in order of arrival.' }),
  at: Type.String({ description: 'Time at which it arrived, UTC.' }),
  source: Type.String({ description: 'Name of the source that received it, such as `webhook`.' }),
  status: Type.Integer({ description: 'Status of the response: 415 or 422.' }),
  problems: Type.Array(Type.Pick(InputProblem, ['loc', 'type']), {
    description: 'Location and kind of each error of a 422; otherwise empty.',
  }),
  bytes: Type.Integer({ description: 'Size of the body.' }),
}

const EXAMPLE = {
  id: 7,
  at: '2025-01-15T10:00:05.120Z',
  source: 'webhook',
  status: 422,
  problems: [{ loc: ['body', 'from'], type: 'value_error' }],
  bytes: 15,
}

/** A body that was rejected although its signature is valid, without its content. */
export const RejectedBody = Type.Object(properties, {
  $id: 'RejectedBody',
  title: 'RejectedBody',
  description: 'A body that was rejected although its signature is valid.',
  examples: [EXAMPLE],
})

/** A body that was rejected although its signature is valid, without its content. */
export type RejectedBody = Static<typeof RejectedBody>

/** A rejected body with its content. */
export const DetailedRejectedBody = Type.Object(
  {
    ...properties,
    headers: Type.Record(Type.String(), Type.String(), {
      description:
        'The headers that determine how the body is read, by their names in lower case, such as `content-type`.',
    }),
    body: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description: 'The body as text; null if it is not valid UTF-8.',
    }),
    body_base64: Type.String({ description: 'The bytes of the body in base64.' }),
  },
  {
    $id: 'DetailedRejectedBody',
    title: 'DetailedRejectedBody',
    description: 'A rejected body with its content.',
    examples: [
      {
        ...EXAMPLE,
        headers: { 'content-type': 'application/json' },
        body: '{"from":"9198"}',
        body_base64: 'eyJmcm9tIjoiOTE5OCJ9',
      },
    ],
  },
)

/** Query parameters of `GET /rejected`. `limit` is clamped to its range. */
export const RejectedBodiesQuery = Type.Object({
  limit: Type.Optional(
    Type.Integer({
      description: 'Bodies per page, clamped to 1…100.',
      default: DEFAULT_LIMIT,
    }),
  ),
  before: Type.Optional(
    Type.Integer({ description: 'The `next` of the previous page: older bodies only.' }),
  ),
})

/** Path parameters of `GET /rejected/{id}`. */
export const RejectedBodyParams = Type.Object({ id: Type.String() })

/** One page of rejected bodies, newest first. */
export const RejectedBodiesPage = Type.Object(
  {
    data: Type.Array(ref(RejectedBody)),
    next: Type.Optional(
      Type.Integer({ description: 'The `before` of the next page; absent on the last one.' }),
    ),
  },
  {
    $id: 'RejectedBodiesPage',
    title: 'RejectedBodiesPage',
    description: 'One page of rejected bodies, newest first.',
    examples: [{ data: [EXAMPLE], next: 7 }],
  },
)
