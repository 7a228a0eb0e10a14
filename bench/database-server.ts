import { tmpdir } from 'node:os'
import pg from 'pg'
import { Cluster } from '../tools/cluster.ts'

/** A PostgreSQL to measure on. */
export interface DatabaseServer {
  /** In words. */
  version: string
  /** Makes an empty database. @returns its URL. */
  create(name: string): Promise<string>
  /** Seconds of processor time it has used so far; undefined where it is not this machine's to know. */
  cpuSeconds(): number | undefined
  /** Removes everything that was made. */
  remove(): Promise<void>
}

async function execute(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url)
  await client.connect()
  const { rows } = await client.query<Record<string, unknown>>(statement)
  await client.end()
  return rows
}

async function versionOf(url: string): Promise<string> {
  const [row] = await execute(url, 'show server_version')
  return `PostgreSQL ${String(row?.server_version).split(' ')[0]}`
}

/** One of its own in a temporary folder, as it is installed. */
async function temporaryServer(): Promise<DatabaseServer> {
  const cluster = await Cluster.start({}, tmpdir())
  return {
    version: await versionOf(cluster.url('postgres')),
    create: (name) => cluster.createDatabase(name),
    cpuSeconds: () => cluster.cpuSeconds(),
    remove: async () => cluster.remove(),
  }
}

/** The one at a URL, on which databases may be made. */
async function serverAt(url: string): Promise<DatabaseServer> {
  const made: string[] = []
  return {
    version: await versionOf(url),
    async create(name) {
      const database = `lyftr_bench_${name}`
      await execute(url, `create database ${database}`)
      made.push(database)
      const address = new URL(url)
      address.pathname = `/${database}`
      return address.href
    },
    cpuSeconds: () => undefined,
    async remove() {
      for (const database of made) await execute(url, `drop database ${database} with (force)`)
    },
  }
}

/** The server at the URL, or one of its own. */
export function openServer(url: string | undefined): Promise<DatabaseServer> {
  return url === undefined ? temporaryServer() : serverAt(url)
}
