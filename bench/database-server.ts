import { tmpdir } from 'node:os'
import pg from 'pg'
import { Cluster } from '../tools/cluster.ts'

/** A PostgreSQL server to measure on. */
export interface DatabaseServer {
  /** Such as `PostgreSQL 17.2`. */
  version: string
  /** Creates an empty database. @returns its URL. */
  create(name: string): Promise<string>
  /** Returns the processor time it has used so far, in seconds; undefined if it runs on another machine. */
  cpuSeconds(): number | undefined
  /** Removes everything that was created. */
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

/** Starts a server with the default configuration in a temporary folder. */
async function temporaryServer(): Promise<DatabaseServer> {
  const cluster = await Cluster.start({}, tmpdir())
  return {
    version: await versionOf(cluster.url('postgres')),
    create: (name) => cluster.createDatabase(name),
    cpuSeconds: () => cluster.cpuSeconds(),
    remove: async () => cluster.remove(),
  }
}

/** Uses the server at a URL, whose role must be allowed to create databases. */
async function serverAt(url: string): Promise<DatabaseServer> {
  const created: string[] = []
  return {
    version: await versionOf(url),
    async create(name) {
      const database = `lyftr_bench_${name}`
      await execute(url, `create database ${database}`)
      created.push(database)
      const address = new URL(url)
      address.pathname = `/${database}`
      return address.href
    },
    cpuSeconds: () => undefined,
    async remove() {
      for (const database of created) await execute(url, `drop database ${database} with (force)`)
    },
  }
}

/** Uses the server at the URL, or starts a temporary one. */
export function openServer(url: string | undefined): Promise<DatabaseServer> {
  return url === undefined ? temporaryServer() : serverAt(url)
}
