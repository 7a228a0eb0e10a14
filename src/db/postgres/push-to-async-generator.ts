interface Demand<Item> {
  resolve: (result: IteratorResult<Item, void>) => void
  reject: (reason: unknown) => void
}

/**
 * Adapts a push callback to an async generator, with backpressure.
 * @param work called once with `push`, which resolves when the consumer requests the next item, and with a signal that
 *   is aborted when the consumer stops early.
 */
export async function* pushToAsyncGenerator<Item>(
  work: (push: (item: Item) => Promise<void>, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<Item, void> {
  const stopped = new AbortController()
  let demand: Demand<Item> = { resolve() {}, reject() {} }
  let resume = (): void => {}
  const request = (): Promise<IteratorResult<Item, void>> => {
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Item, void>>()
    demand = { resolve, reject }
    resume()
    return promise
  }
  const push = (item: Item): Promise<void> => {
    const requested = Promise.withResolvers<void>()
    resume = requested.resolve
    demand.resolve({ value: item, done: false })
    return requested.promise
  }
  try {
    const first = request()
    work(push, stopped.signal).then(
      () => demand.resolve({ value: undefined, done: true }),
      (error) => demand.reject(error),
    )
    for (let item = await first; !item.done; item = await request()) yield item.value
  } finally {
    stopped.abort()
  }
}
