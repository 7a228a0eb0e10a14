import {
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { StoreDetachedError, StoreUnavailableError } from '../message-store.ts'

/** The identity of the file at a path: device and inode. */
interface FileIdentity {
  path: string
  dev: number
  ino: number
}

/** The files of one open database. */
export interface DatabaseFiles {
  /** At the configured path, which may be a symbolic link. */
  database: FileIdentity
  /** The write-ahead log (`-wal`). */
  log: FileIdentity
  /** The shared memory (`-shm`), which contains the index of the log and the locks between processes. */
  sharedMemory: FileIdentity
}

function statOf(path: string): Stats {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) throw new StoreUnavailableError(`the file is no longer at ${path}`)
  return stat
}

function identify(path: string): FileIdentity {
  const { dev, ino } = statOf(path)
  return { path, dev, ino }
}

/** Returns the size in bytes of a file. @throws StoreUnavailableError if it is no longer at its path. */
function sizeInPlace({ path, dev, ino }: FileIdentity): number {
  const found = statOf(path)
  if (found.ino === ino && found.dev === dev) return found.size
  throw new StoreUnavailableError(`the file at ${path} was replaced`)
}

/**
 * Creates a folder and its parents.
 * Node's recursive `mkdir` does not terminate where a folder cannot be created (/proc).
 */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return
  makeFolder(dirname(folder))
  try {
    mkdirSync(folder)
  } catch (error) {
    // Another process may have created it meanwhile.
    if (!existsSync(folder)) throw error
  }
}

/**
 * Returns the path without symbolic links.
 * SQLite derives the names of its log and shared memory from this path.
 * @throws Error for a symbolic link to a file that does not exist.
 */
export function resolveLinks(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })) return realpathSync(path)
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new Error(
      `it is a symbolic link to ${readlinkSync(path)}, which does not exist; create an empty file there to start with`,
    )
  }
  return join(realpathSync(dirname(path)), basename(path))
}

/**
 * Returns the absolute path of the file that a write to this path creates or changes.
 * Follows symbolic links, also to a file that does not exist yet.
 */
export function resolveTarget(path: string): string {
  if (existsSync(path)) return realpathSync(path)
  const link = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()
  if (link) return resolveTarget(resolve(dirname(path), readlinkSync(path)))
  const folder = dirname(path)
  return existsSync(folder) ? join(realpathSync(folder), basename(path)) : resolve(path)
}

/**
 * Returns the paths of the files that SQLite keeps next to a database.
 * @param path without symbolic links.
 */
export function companionFiles(path: string): string[] {
  return ['-wal', '-shm', '-journal'].map((suffix) => path + suffix)
}

/**
 * Returns the identity of the files of a database that has just been opened.
 * @param path without symbolic links.
 */
export function identifyFiles(configuredPath: string, path: string): DatabaseFiles {
  return {
    database: identify(configuredPath),
    log: identify(`${path}-wal`),
    sharedMemory: identify(`${path}-shm`),
  }
}

/**
 * Detects that a file of an open database was removed or replaced.
 * Processes that do not share the same log and shared memory do not see each other's locks, and could overwrite each
 * other's commits. So once one of these files was missing, every further check fails until the database is reopened,
 * even if the file is restored.
 */
export class FileGuard {
  readonly #files: DatabaseFiles
  #detached: StoreDetachedError | undefined

  constructor(files: DatabaseFiles) {
    this.#files = files
  }

  /**
   * Checks the log and the shared memory.
   * @returns the size of the log in bytes.
   * @throws StoreDetachedError
   */
  assertShared(): number {
    if (this.#detached) throw this.#detached
    try {
      sizeInPlace(this.#files.sharedMemory)
      return sizeInPlace(this.#files.log)
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error
      this.#detached = new StoreDetachedError(error.message)
      throw this.#detached
    }
  }

  /** Checks all files. @returns the size of the log in bytes. @throws StoreUnavailableError */
  assertInPlace(): number {
    const walBytes = this.assertShared()
    sizeInPlace(this.#files.database)
    return walBytes
  }
}
