import type { ErrorObject } from 'ajv'
import type { InputProblem } from './problem.ts'

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

/** One mistake in the form of the reference. */
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
 * What the validator found, in words for whoever sent it: every field's first mistake, as the later ones of a field
 * follow from it.
 * @param where the input that the fields belong to.
 */
export function toInputProblems(mistakes: readonly ErrorObject[], where: string): InputProblem[] {
  const problems = new Map<string, InputProblem>()
  for (const mistake of mistakes) {
    const problem = problemOf(mistake, where)
    const key = problem.loc.join()
    if (!problems.has(key)) problems.set(key, problem)
  }
  return [...problems.values()]
}
