import { type TSchema, Type } from '@sinclair/typebox'
import type { RouteOptions } from 'fastify'

/** Every error but a refused input: one plain sentence. */
const Problem = Type.Object(
  { detail: Type.String({ description: 'What was wrong.' }) },
  { title: 'Problem' },
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
  { title: 'InputProblem' },
)

/** A refused input: everything that is wrong with it, at once. */
const InputProblems = Type.Object({ detail: Type.Array(InputProblem) }, { title: 'InputProblems' })

/** A response schema for an error with one plain sentence, and the sentence as its example. */
export function problem(description: string, detail: string) {
  return Type.Object(Problem.properties, { description, examples: [{ detail }] })
}

/** A response schema for a refused input, with one problem as its example. */
export function inputProblems(example: { loc: string[]; msg: string; type: string }) {
  return Type.Object(InputProblems.properties, {
    description: 'Refused: everything that is wrong, at once.',
    examples: [{ detail: [example] }],
  })
}

/** Adds an answer to a route that is being made, for what a plugin may answer in its place. */
export function describeAnswer(route: RouteOptions, status: number, answer: TSchema): void {
  const response = Object.assign({}, route.schema?.response, { [status]: answer })
  route.schema = { ...route.schema, response }
}
