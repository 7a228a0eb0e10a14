import type { ErrorObject } from 'ajv'
import type { InputProblem } from './problem.ts'

/** Names of JSON types in error messages. */
const TYPE_NAMES: Record<string, string> = {
  string: 'a string',
  integer: 'an integer',
  object: 'a JSON object',
  null: 'null',
}

function typeNames(types: unknown): string {
  return [types]
    .flat()
    .map((type) => TYPE_NAMES[String(type)] ?? String(type))
    .join(' or ')
}

/** Returns an error of Ajv in the format of the API. */
function problemOf(error: ErrorObject, where: string): InputProblem {
  if (error.keyword === 'required') {
    const field = String(error.params.missingProperty)
    return { loc: [where, field], msg: `${field} is required`, type: 'missing' }
  }
  const field = error.instancePath.slice(1)
  const loc = field === '' ? [where] : [where, field]
  if (error.keyword === 'type') {
    const named = field === '' ? where : field
    return { loc, msg: `${named} must be ${typeNames(error.params.type)}`, type: 'type_error' }
  }
  if (error.keyword === 'pattern' && !String(error.data).startsWith('+')) {
    return { loc, msg: "Phone number must start with '+'", type: 'value_error' }
  }
  const msg = String(error.parentSchema?.['x-expected'] ?? `${field} ${error.message}`)
  return { loc, msg, type: 'value_error' }
}

/**
 * Returns the errors of the validator in the format of the API.
 * Of each field only the first error is returned, as further ones follow from it.
 * @param where part of the request that the fields belong to, the first element of `loc`.
 */
export function toInputProblems(errors: readonly ErrorObject[], where: string): InputProblem[] {
  const problems = new Map<string, InputProblem>()
  for (const error of errors) {
    const problem = problemOf(error, where)
    const key = problem.loc.join()
    if (!problems.has(key)) problems.set(key, problem)
  }
  return [...problems.values()]
}
