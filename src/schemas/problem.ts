import { type Static, type TSchema, Type } from '@sinclair/typebox'
import type { RouteOptions } from 'fastify'
import { jsonResponse, ref } from './component.ts'

/** Body of every error except invalid input: one sentence. */
export const Problem = Type.Object(
  { detail: Type.String({ description: 'Reason for the error.' }) },
  { $id: 'Problem', title: 'Problem' },
)

/** One error in an input. */
export const InputProblem = Type.Object(
  {
    loc: Type.Array(Type.String(), {
      description: 'Location of the error: `body`, `query` or `path`, then the name of the field.',
    }),
    msg: Type.String({ description: 'What is expected at this location.' }),
    type: Type.Union(
      [
        Type.Literal('missing'),
        Type.Literal('type_error'),
        Type.Literal('value_error'),
        Type.Literal('json_invalid'),
      ],
      { description: 'Kind of error.' },
    ),
  },
  { $id: 'InputProblem', title: 'InputProblem' },
)

/** One error in an input. */
export type InputProblem = Static<typeof InputProblem>

/** Body of the response to invalid input: all of its errors. */
export const InputProblems = Type.Object(
  { detail: Type.Array(ref(InputProblem)) },
  { $id: 'InputProblems', title: 'InputProblems' },
)

/** Describes an error response, with this detail as its example. */
export function problem(description: string, detail: string) {
  return jsonResponse(Problem, { description, examples: [{ detail }] })
}

/** Describes the response to invalid input, with one error as its example. */
export function inputProblems(example: { loc: string[]; msg: string; type: string }) {
  return jsonResponse(InputProblems, {
    description: 'The input is invalid; all errors are listed.',
    examples: [{ detail: [example] }],
  })
}

/** The detail of the 429 of an address that has sent too many requests. */
export const TOO_MANY_REQUESTS = 'too many requests from this address'

/** The response to an address that is over one of its limits. */
export const tooManyRequests = problem(
  'Too many requests or failed attempts from this address: retry after `Retry-After` seconds.',
  TOO_MANY_REQUESTS,
)

/** Adds a response that a plugin may send to the schema of a route; for `onRoute` hooks. */
export function documentResponse(route: RouteOptions, status: number, schema: TSchema): void {
  const response = Object.assign({}, route.schema?.response, { [status]: schema })
  route.schema = { ...route.schema, response }
}

/** The failures of every read. */
export const readFailures = {
  500: problem('An internal error.', 'internal server error'),
  503: problem(
    'The database is unavailable, or the query timed out.',
    'the database is not available',
  ),
}
