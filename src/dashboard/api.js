import { computed, signal } from '@preact/signals'

/** Key of the token in the storage of the tab, which ends with it. */
const STORAGE_KEY = 'token'

/** The token; empty before one is entered. */
const token = signal(window.sessionStorage.getItem(STORAGE_KEY) ?? '')

/** Why a token is asked for; undefined if none is. */
export const tokenProblem = signal(/** @type {string | undefined} */ (undefined))

/** Whether a token is in use. */
export const hasToken = computed(() => token.value !== '')

/** Number of tokens entered or removed; data is loaded again when it changes. */
export const session = signal(0)

/** Whether the token in use was accepted before. */
let wasAccepted = false

/**
 * Uses a token until the tab is closed, or none.
 * @param {string} entered
 */
export function enterToken(entered) {
  wasAccepted = false
  token.value = entered.trim()
  if (token.value) window.sessionStorage.setItem(STORAGE_KEY, token.value)
  else window.sessionStorage.removeItem(STORAGE_KEY)
  tokenProblem.value = undefined
  session.value++
}

/** An error of a request, with a text for the reader. */
export class RequestError extends Error {
  /**
   * @param {number} status 0 if there was no response
   * @param {string} message
   */
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** What to do about an error, by its status. */
const ADVICE = new Map([
  [429, 'Wait a minute, then try again.'],
  [503, 'Try again in a moment.'],
])

/**
 * Returns the error of a response.
 * @param {Response} response
 */
async function readError(response) {
  const text = await response.text().catch(() => '')
  let detail = `status ${response.status}`
  try {
    const body = JSON.parse(text)
    detail = [body.detail]
      .flat()
      .map((part) => part.msg ?? part)
      .join('; ')
  } catch {
    // A proxy may respond with a page of its own.
  }
  const sentence = `${detail[0]?.toUpperCase()}${detail.slice(1)}.`
  return new RequestError(
    response.status,
    `${sentence} ${ADVICE.get(response.status) ?? ''}`.trim(),
  )
}

/**
 * Asks for a token after a 401.
 * @param {string} used the token of the request
 */
function askForToken(used) {
  if (used !== token.peek()) return
  if (!used) tokenProblem.value = ''
  else if (wasAccepted) tokenProblem.value = 'The token is no longer accepted. Enter the new one.'
  else tokenProblem.value = 'The service does not accept this token. Check it and try again.'
}

/**
 * Sends a request with the token. A 401 asks for another token.
 * @param {string} path
 * @param {{ signal?: AbortSignal, accept?: string }} [options]
 * @throws {RequestError} if there is no response, or its status is not 2xx
 */
export async function request(path, { signal, accept = 'application/json' } = {}) {
  const used = token.peek()
  const headers = { accept, ...(used && { authorization: `Bearer ${used}` }) }
  const response = await fetch(path, { headers, signal: signal ?? null }).catch((cause) => {
    if (signal?.aborted) throw cause
    throw new RequestError(0, 'The service does not respond. Check the connection and try again.')
  })
  if (response.ok) {
    if (used === token.peek()) wasAccepted = true
    return response
  }
  if (response.status === 401) askForToken(used)
  throw await readError(response)
}

/**
 * Returns the address of a request without the parameters that are empty.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} parameters
 */
export function withParameters(path, parameters) {
  const given = Object.entries(parameters).filter(
    (entry) => entry[1] !== undefined && entry[1] !== '',
  )
  return `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`
}

/**
 * Reads JSON of the API.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [parameters]
 * @param {AbortSignal} [signal]
 */
export async function get(path, parameters = {}, signal) {
  const response = await request(withParameters(path, parameters), signal ? { signal } : {})
  return response.json()
}
