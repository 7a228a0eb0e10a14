import { jsonResponse } from '../schemas/component.ts'
import { inputProblems, problem, tooManyRequests } from '../schemas/problem.ts'
import { Accepted } from '../schemas/webhook.ts'

/** Responses of every source to a post. */
export const commonResponses = {
  200: jsonResponse(Accepted),
  401: problem('The signature is missing, malformed or invalid.', 'invalid signature'),
  429: tooManyRequests,
  500: problem('Not stored: an internal error.', 'internal server error'),
  503: problem('Not stored: retry after `Retry-After` seconds.', 'the database is not available'),
}

/** Response to a body above the limit. @param limit the limit with its unit */
export function tooLarge(limit: string) {
  return problem(`The body is larger than ${limit}.`, 'the body is too large')
}

/** Responses of sources that reject bodies for their content. */
export const contentResponses = {
  415: problem(
    'The body is not JSON, or is compressed (then with `Accept-Encoding`).',
    'unsupported media type, expected application/json',
  ),
  422: inputProblems({
    loc: ['body', 'from'],
    msg: "Phone number must start with '+'",
    type: 'value_error',
  }),
}
