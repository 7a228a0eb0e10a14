/**
 * Resolves after a delay, or when the signal is aborted.
 * @param {number} ms
 * @param {AbortSignal} signal
 */
export const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
