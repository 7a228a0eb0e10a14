import { useEffect, useState } from 'preact/hooks'
import { session } from './api.js'

/**
 * The state of data that is loaded: the value stays until the next one is there.
 * @template Value
 * @typedef {{ value?: Value, error?: Error | undefined, isLoading: boolean, retry: () => void }} Loaded
 */

/**
 * Loads data now and whenever its key changes. The request for an earlier key is aborted.
 * @template Value
 * @param {string} key
 * @param {(signal: AbortSignal) => Promise<Value>} load
 * @param {number} [refreshMs] milliseconds between two loads while the page is visible
 * @returns {Loaded<Value>}
 */
export function useLoad(key, load, refreshMs) {
  const [attempt, setAttempt] = useState(0)
  const [state, setState] = useState(
    /** @type {{ value?: Value, error?: Error | undefined, isLoading: boolean }} */ ({
      isLoading: true,
    }),
  )
  const current = session.value
  useEffect(() => {
    const controller = new AbortController()
    setState(({ value }) => ({ ...(value !== undefined && { value }), isLoading: true }))
    const run = () =>
      load(controller.signal).then(
        (value) => controller.signal.aborted || setState({ value, isLoading: false }),
        (error) =>
          controller.signal.aborted ||
          setState((before) => ({ ...before, error, isLoading: false })),
      )
    run()
    const timer = refreshMs && setInterval(() => document.hidden || run(), refreshMs)
    return () => {
      controller.abort()
      clearInterval(timer)
    }
  }, [key, current, attempt])
  return { ...state, retry: () => setAttempt((count) => count + 1) }
}
