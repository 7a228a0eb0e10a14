import type { BackupContents, CopyListener } from '../db/sqlite/offline/backup.ts'
import { writeAudit } from './audit.ts'
import { type DevelopmentOption, sqliteFile } from './database.ts'
import { ProgressBar } from './progress.ts'
import { verifyFile } from './verify.ts'

/** Options of the command `backup`. */
export interface BackupOptions extends DevelopmentOption {
  verify?: boolean
}

/** Options of the command `restore`. */
export interface RestoreOptions extends DevelopmentOption {
  force?: boolean
}

const ON_POSTGRES = {
  backup:
    'backup copies a SQLite file; for PostgreSQL run pg_dump --format=custom --file=FILE and the URL of the database',
  restore:
    'restore replaces a SQLite file; for PostgreSQL run pg_restore --no-owner --dbname=URL FILE with the URL of an empty database',
}

/** Calls `work` with a progress bar, and prints what was copied. */
async function report(
  audit: 'backup' | 'restore',
  work: (onProgress: CopyListener) => Promise<BackupContents>,
): Promise<void> {
  const bar = new ProgressBar('copying', 'bytes')
  const copied = work((done, total) => bar.update(done, total))
  const { messages, bytes } = await copied.finally(() => bar.end())
  writeAudit(audit, { messages, bytes })
  process.stdout.write(`${messages} messages, ${bytes} bytes\n`)
}

/** Writes a backup of the database to a file. @returns the exit status, 1 if the backup has differences. */
export async function runBackup(
  file: string,
  { verify, ...options }: BackupOptions,
): Promise<number> {
  const path = sqliteFile(options, ON_POSTGRES.backup)
  const { backup } = await import('../db/sqlite/offline/backup.ts')
  await report('backup', (onProgress) => backup(path, file, onProgress))
  return verify ? await verifyFile(file) : 0
}

/** Replaces the database with a backup. */
export async function runRestore(
  file: string,
  { force = false, ...options }: RestoreOptions,
): Promise<void> {
  const path = sqliteFile(options, ON_POSTGRES.restore)
  const { restore } = await import('../db/sqlite/offline/restore.ts')
  await report('restore', (onProgress) => restore(path, file, { force }, onProgress))
}
