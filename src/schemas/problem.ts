import { type Static, type TSchema, Type } from '@sinclair/typebox'
import type { RouteOptions } from 'fastify'
import { answer, ref } from './component.ts'

/** Every error but a refused input: one plain sentence. */
export const Problem = Type.Object(
  { detail: Type.String({ description: 'What was wrong.' }) },
  { $id: 'Problem', title: 'Problem' },
)

/** One thing wrong with an input. */
export const InputProblem = Type.Object(
  {
    loc: Type.Array(Type.String(), {
      description: 'Where: `body`, `query` or `path`, then the name of the field.',
    }),
    msg: Type.String({ description: 'What is expected there.' }),
    type: Type.Union(
      [
        Type.Literal('missing'),
        Type.Literal('type_error'),
        Type.Literal('value_error'),
        Type.Literal('json_invalid'),
      ],
      { description: 'What kind of mistake it is.' },
    ),
  },
  { $id: 'InputProblem', title: 'InputProblem' },
)

export type InputProblem = Static<typeof InputProblem>

/** A refused input: everything that is wrong with it, at once. */
export const InputProblems = Type.Object(
  { detail: Type.Array(ref(InputProblem)) },
  { $id: 'InputProblems', title: 'InputProblems' },
)

/** A response schema for an error with one plain sentence, and the sentence as its example. */
export function problem(description: string, detail: string) {
  return answer(Problem, { description, examples: [{ detail }] })
}

/** A response schema for a refused input, with one problem as its example. */
export function inputProblems(example: { loc: string[]; msg: string; type: string }) {
  return answer(InputProblems, {
    description: 'Refused: everything that is wrong, at once.',
    examples: [{ detail: [example] }],
  })
}

/** The detail of the 429 of an address that has sent too many requests. */
export const TOO_MANY_REQUESTS = 'too many requests from this address'

/** The 429 of an address that has sent too many. */
export const tooManyRequests = problem(
  'Too many from this address: try again after `Retry-After` seconds.',
  TOO_MANY_REQUESTS,
)

/** Adds to the schema of a route, in an `onRoute` hook, a response that a plugin sends in its place. */
export function documentResponse(route: RouteOptions, status: number, schema: TSchema): void {
  const response = Object.assign({}, route.schema?.response, { [status]: schema })
  route.schema = { ...route.schema, response }
}
