import type { MessageStore } from '../db/message-store.ts'
import type { RejectedBody } from '../schemas/rejected.ts'

/** Number of bodies, without their content, that are read from the database at a time. */
const PAGE_SIZE = 100

/** Yields all bodies without their content, newest first. */
export async function* allBodies({ rejected }: MessageStore): AsyncGenerator<RejectedBody, void> {
  let before: number | undefined
  for (;;) {
    const page = await rejected.list({ before, limit: PAGE_SIZE })
    yield* page
    before = page.at(-1)?.id
    if (page.length < PAGE_SIZE) return
  }
}
