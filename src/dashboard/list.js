import { useEffect, useRef, useState } from 'preact/hooks'
import { savedScroll } from './address.js'
import { get, session } from './api.js'
import { pause } from './pause.js'

/** Messages of the first page, which is shown at each keystroke, and of the others. */
const FIRST_PAGE = 30
const PAGE = 100

/** Milliseconds from the first page to the count of all matches, which the next keystroke usually makes useless. */
const COUNT_DELAY_MS = 200

/** Maximum rows of a block. */
const BLOCK = 50

/**
 * Consecutive rows, which are rendered together or not at all. `first` is the index of the first one in the list.
 * @typedef {{ id: number, first: number, messages: import('./types.d.ts').Message[] }} Block
 */

/**
 * The part of a list that is loaded, and the number of all messages that match: undefined while the service counts them,
 * null if the count is not available.
 * @typedef {object} List
 * @property {string} key
 * @property {string} search
 * @property {Block[]} blocks
 * @property {string | undefined} next cursor of the next page
 * @property {number | null | undefined} total
 * @property {boolean} isLoading
 * @property {Error | undefined} error
 */

/** @type {List} */
const EMPTY = {
  key: '',
  search: '',
  blocks: [],
  next: undefined,
  total: undefined,
  isLoading: true,
  error: undefined,
}

/** The last list, so that the way back from a message shows it at once. @type {List | undefined} */
let lastList

/** Id of the last block of any list. */
let lastId = 0

/** Returns the number of rows. @param {Block[]} blocks */
export function countRows(blocks) {
  const last = blocks.at(-1)
  return last ? last.first + last.messages.length : 0
}

/**
 * Returns the blocks with the messages of another page.
 * @param {Block[]} blocks
 * @param {import('./types.d.ts').Message[]} messages
 */
function withMessages(blocks, messages) {
  const first = countRows(blocks)
  const added = []
  for (let index = 0; index < messages.length; index += BLOCK) {
    const id = ++lastId
    added.push({ id, first: first + index, messages: messages.slice(index, index + BLOCK) })
  }
  return [...blocks, ...added]
}

/**
 * The last list if it has this key. Its requests were aborted when its screen was left.
 * @param {string} key
 * @returns {List}
 */
const restore = (key) =>
  lastList?.key === key ? { ...lastList, isLoading: false, error: undefined } : EMPTY

/**
 * Loads the list of these filters: its first page now, then the number of all messages, and other pages on demand.
 * @param {Record<string, string>} filters
 * @param {string} order
 */
export function useList(filters, order) {
  const key = JSON.stringify([filters, order, session.value])
  const [list, setList] = useState(() => restore(key))
  const [attempt, setAttempt] = useState(0)
  const controller = useRef(new AbortController())
  const shown = useRef(list)
  const change = (/** @type {Partial<List>} */ part) => {
    lastList = { ...shown.current, ...part }
    shown.current = lastList
    setList(lastList)
  }

  // Counting all matches takes much longer than finding the first ones.
  const count = async (/** @type {AbortSignal} */ signal) => {
    await pause(COUNT_DELAY_MS, signal)
    const parameters = { ...filters, order, limit: 1, total: 'exact' }
    const total = await get('/messages', parameters, signal).then(
      (page) => page.total,
      () => null,
    )
    if (!signal.aborted && shown.current.total === undefined) change({ total })
  }
  const load = async (/** @type {string | undefined} */ cursor) => {
    const { signal } = controller.current
    change({ isLoading: true, error: undefined })
    const limit = cursor ? PAGE : FIRST_PAGE
    const parameters = { ...filters, order, include: 'source,type', limit, cursor, total: 'none' }
    try {
      /** @type {import('./types.d.ts').MessagesPage} */
      const { data, next } = await get('/messages', parameters, signal)
      if (signal.aborted) return
      const before = cursor ? shown.current : EMPTY
      const blocks = withMessages(before.blocks, data)
      const total = next ? before.total : countRows(blocks)
      change({ key, search: filters.q ?? '', blocks, next, total, isLoading: false })
      if (!cursor) window.scrollTo(0, 0)
      if (!cursor && next) count(signal)
    } catch (error) {
      if (!signal.aborted && error instanceof Error) change({ error, isLoading: false })
    }
  }
  useEffect(() => {
    controller.current = new AbortController()
    if (shown.current.key !== key || attempt > 0) load(undefined)
    else {
      window.scrollTo(0, savedScroll())
      if (shown.current.total === undefined) count(controller.current.signal)
    }
    return () => controller.current.abort()
  }, [key, attempt])

  const isCurrent = list.key === key
  const more = () => {
    const { next, isLoading, error } = shown.current
    if (isCurrent && next && !isLoading && !error) load(next)
  }
  const reload = () => setAttempt((count) => count + 1)
  const retry = () => {
    const { next } = shown.current
    if (isCurrent && next) load(next)
    else reload()
  }
  return { list, isCurrent, more, retry, reload }
}
