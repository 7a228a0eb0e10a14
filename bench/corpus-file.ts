import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SqliteStore } from '../src/db/sqlite/store.ts'
import type { StoredMessage } from '../src/message/message.ts'
import { CORPUS_VERSION, writeMessages } from '../tools/corpus.ts'
import { whole } from './figures.ts'

const BATCH = 1000

/** A SQLite database of generated messages. */
export interface CorpusFile {
  path: string
  messages: number
  mebibytes: number
}

/** Returns the database with that many messages in the folder, and creates it if it is missing. */
export async function corpusFile(folder: string, messages: number): Promise<CorpusFile> {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `corpus-${CORPUS_VERSION}-${messages}.db`)
  if (!existsSync(path)) await write(path, messages)
  return { path, messages, mebibytes: Math.round(statSync(path).size / 2 ** 20) }
}

async function write(path: string, messages: number): Promise<void> {
  const part = `${path}.part`
  for (const suffix of ['', '-wal', '-shm']) rmSync(part + suffix, { force: true })
  const started = performance.now()
  const report = (done: number) => {
    const seconds = Math.round((performance.now() - started) / 1000)
    process.stdout.write(`  ${whole(done)} of ${whole(messages)} messages written, ${seconds} s\n`)
  }
  const store = await SqliteStore.open(part, undefined, { bulk: true })
  let batch: StoredMessage[] = []
  let done = 0
  let storing: Promise<unknown> = Promise.resolve()
  // One batch is stored while the next is generated.
  const flush = async () => {
    await storing
    storing = store.append(batch)
    done += batch.length
    batch = []
    if (done % 250_000 === 0) report(done)
  }
  for (const message of writeMessages(messages)) {
    batch.push(message)
    if (batch.length === BATCH) await flush()
  }
  await flush()
  await storing
  await store.catchUp()
  await store.close()
  renameSync(part, path)
}
