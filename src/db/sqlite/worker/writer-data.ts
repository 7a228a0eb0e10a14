import type { DatabaseFiles } from '../files.ts'
import type { writerQueries } from '../queries/writer.ts'

/** The data of the writer thread. */
export interface WriterData {
  /** As configured. */
  configuredPath: string
  /** Without symbolic links. */
  path: string
  /** The files of the previous writer thread, which must still be in place. */
  previous: DatabaseFiles | undefined
  queries: typeof writerQueries
  /** Whether to back up the file before a migration of its schema. */
  backupBeforeMigration: boolean
  /** Whether the store is opened to import very many messages. */
  bulk: boolean
}

/** The value that the writer thread posts when it is ready. */
export interface WriterReady {
  files: DatabaseFiles
  /** Number of adopted messages whose `ts` is not an instant. */
  withoutInstant: number
  /** Path of the backup before a migration; undefined if there was none. */
  backup: string | undefined
}
