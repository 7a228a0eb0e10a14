import { signal } from '@preact/signals'

/** Path of the overview, which all other addresses begin with. */
const ROOT = '/dashboard'

/**
 * The state of a screen: its path below `/dashboard`, such as `/messages`, and its parameters.
 * @typedef {{ path: string, query: URLSearchParams }} Address
 */

/** @returns {Address} */
function readLocation() {
  const { pathname, search } = window.location
  const path = pathname.slice(ROOT.length).replace(/\/$/, '') || '/'
  return { path, query: new URLSearchParams(search) }
}

/** The address that the window shows. */
export const address = signal(readLocation())

/**
 * Returns the link to a screen, without the parameters that are empty.
 * @param {string} path
 * @param {Record<string, string | undefined>} [parameters]
 */
export function linkTo(path, parameters = {}) {
  const given = Object.entries(parameters).filter((entry) => entry[1])
  const query = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString()
  return `${ROOT}${path === '/' ? '' : path}${query && `?${query}`}`
}

/**
 * Shows another address.
 * @param {string} link
 * @param {{ replace?: boolean }} [options] whether the entry of the history is replaced
 */
export function navigate(link, { replace = false } = {}) {
  // Where the reader was, for the way back.
  window.history.replaceState({ scroll: window.scrollY }, '')
  window.history[replace ? 'replaceState' : 'pushState']({}, '', link)
  address.value = readLocation()
}

/**
 * Changes parameters of the address; an empty or undefined value removes one.
 * @param {Record<string, string | undefined>} parameters
 * @param {{ replace?: boolean }} [options]
 */
export function updateQuery(parameters, options) {
  const { path, query } = address.peek()
  navigate(linkTo(path, { ...Object.fromEntries(query), ...parameters }), options)
}

/** The position to which the window returns when the list of the address has been restored. */
export const savedScroll = () => Number(window.history.state?.scroll ?? 0)

/**
 * Follows links to other screens without loading the page again.
 * @param {MouseEvent} event
 */
function followLink(event) {
  const { target, button, metaKey, ctrlKey, shiftKey, altKey } = event
  if (event.defaultPrevented || button !== 0 || metaKey || ctrlKey || shiftKey || altKey) return
  const link = target instanceof Element ? target.closest('a') : null
  if (!link || link.hasAttribute('download') || link.origin !== window.location.origin) return
  if (link.pathname !== ROOT && !link.pathname.startsWith(`${ROOT}/`)) return
  if (link.hash) return
  event.preventDefault()
  navigate(link.href)
}

window.history.scrollRestoration = 'manual'
window.addEventListener('popstate', () => {
  address.value = readLocation()
})
document.addEventListener('click', followLink)
