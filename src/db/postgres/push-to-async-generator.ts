interface Runner<Item> {
  resolve: (result: IteratorResult<Item, void>) => void
  reject: (reason: unknown) => void
}

/**
 * Makes a loop of work that emits: the work goes on only when the next item is asked for, and is aborted when the
 * loop is left.
 */
export async function* pushToAsyncGenerator<Item>(
  work: (emit: (item: Item) => Promise<void>, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<Item, void> {
  const left = new AbortController()
  let runner: Runner<Item> = { resolve() {}, reject() {} }
  let goOn = (): void => {}
  const next = (): Promise<IteratorResult<Item, void>> => {
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Item, void>>()
    runner = { resolve, reject }
    goOn()
    return promise
  }
  const emit = (item: Item): Promise<void> => {
    const asked = Promise.withResolvers<void>()
    goOn = asked.resolve
    runner.resolve({ value: item, done: false })
    return asked.promise
  }
  try {
    const first = next()
    work(emit, left.signal).then(
      () => runner.resolve({ value: undefined, done: true }),
      (error) => runner.reject(error),
    )
    for (let item = await first; !item.done; item = await next()) yield item.value
  } finally {
    left.abort()
  }
}
