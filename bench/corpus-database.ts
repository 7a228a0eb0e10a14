import { PostgresStore } from '../src/db/postgres/store.ts'
import type { StoredMessage } from '../src/message/message.ts'
import { writeMessages } from '../tools/corpus.ts'
import type { DatabaseServer } from './database-server.ts'
import { whole } from './figures.ts'

const BATCH = 1000

/** Creates a PostgreSQL database with the first `messages` messages of the corpus. @returns its URL. */
export async function corpusDatabase(server: DatabaseServer, messages: number): Promise<string> {
  const url = await server.create(`reads_${messages}`)
  const started = performance.now()
  const store = await PostgresStore.open(url, { unlimited: true, readTimeoutMs: 0 })
  let batch: StoredMessage[] = []
  for (const message of writeMessages(messages)) {
    batch.push(message)
    if (batch.length < BATCH) continue
    await store.append(batch)
    batch = []
  }
  if (batch.length > 0) await store.append(batch)
  await store.catchUp()
  // Closing the store updates the planner statistics.
  await store.close()
  const seconds = Math.round((performance.now() - started) / 1000)
  process.stdout.write(`  ${whole(messages)} messages in PostgreSQL, ${seconds} s\n`)
  return url
}
