import { createReadStream, createWriteStream, rmSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import Database from 'better-sqlite3'
import { instantKey } from '../src/message/instant.ts'
import type { CorpusFile } from './corpus-file.ts'
import { type Bar, whole } from './figures.ts'
import { type ServerProcess, startService } from './process.ts'
import type { MessageRow } from './queries.ts'

/** An export of every message in one format. */
export interface Export {
  format: 'NDJSON' | 'CSV'
  messages: number
  seconds: number
  /** Growth of the service's resident memory from before the export to its peak; undefined without procfs. */
  growthMiB: number | undefined
  /** The first difference from the rows of the file; absent if there is none. */
  error?: string
}

const MEDIA_TYPES = { NDJSON: 'application/x-ndjson', CSV: 'text/csv' } as const
const FORMATS = ['NDJSON', 'CSV'] as const

/** Interval at which the memory of the service is sampled. */
const SAMPLE_MS = 20

/** Maximum growth of the service's memory. */
const MAX_GROWTH_MIB = 64

/** The fields that are compared, the first ones of a CSV record. */
const FIELDS = ['message_id', 'from_msisdn', 'to_msisdn', 'ts', 'text'] as const

/**
 * Returns the first fields of a CSV record, in which an empty text is quoted and null is not.
 * Texts of the corpus have no line breaks.
 */
function parseRecord(record: string): (string | null)[] {
  const values = record.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)
  return [...values].slice(0, FIELDS.length).map(([, quoted, plain = '']) => {
    const value = quoted?.replaceAll('""', '"') ?? plain
    // The apostrophe precedes a value that a spreadsheet would run as a formula.
    return value === '' && quoted === undefined ? null : value.replace(/^'(?=[=+\-@\t\r])/, '')
  })
}

function parseLine(line: string): (string | null)[] {
  const message: MessageRow = JSON.parse(line)
  return FIELDS.map((name) => message[name])
}

/** Compares an export with the rows of the file, in the order of instants. @returns the first difference. */
async function compare(
  { path }: CorpusFile,
  exported: string,
  format: Export['format'],
): Promise<string | undefined> {
  const database = new Database(path, { readonly: true })
  database.function('instant_key', { deterministic: true }, (ts) => instantKey(String(ts)) ?? null)
  const rows = database
    .prepare<[], MessageRow>(
      `select ${FIELDS.join(', ')} from messages order by instant_key(ts), message_id`,
    )
    .iterate()
  const lines = createInterface({ input: createReadStream(exported) })
  let number = 0
  try {
    for await (const line of lines) {
      if (format === 'CSV' && number++ === 0) continue
      const row = rows.next().value
      const expected = JSON.stringify(FIELDS.map((name) => row?.[name]))
      const found = JSON.stringify(format === 'CSV' ? parseRecord(line) : parseLine(line))
      if (found !== expected) return `${found} is exported, the file has ${expected}`
    }
    const missing: MessageRow | undefined = rows.next().value
    return missing && `${missing.message_id} and all that follow are missing`
  } finally {
    lines.close()
    rows.return?.()
    database.close()
  }
}

function request(url: string, format: Export['format']): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { accept: MEDIA_TYPES[format] }
    get(`${url}/messages/export`, { headers, agent: false }, resolve).on('error', reject)
  })
}

/** Exports every message to a file, and samples the memory of the service. */
async function exportTo(
  path: string,
  service: ServerProcess,
  format: Export['format'],
): Promise<Pick<Export, 'seconds' | 'growthMiB'>> {
  const memory = () => service.resourceUsage()?.memoryMiB ?? Number.NaN
  const before = memory()
  let peak = before
  const sampling = setInterval(() => {
    peak = Math.max(peak, memory())
  }, SAMPLE_MS)
  const started = performance.now()
  try {
    const response = await request(service.url, format)
    if (response.statusCode !== 200)
      throw new Error(`an export was answered ${response.statusCode}`)
    await pipeline(response, createWriteStream(path))
  } finally {
    clearInterval(sampling)
  }
  const seconds = (performance.now() - started) / 1000
  return { seconds, growthMiB: Number.isNaN(peak) ? undefined : peak - before }
}

/** Exports every message in each format, each from a service that has just started. @param database its URL. */
export async function measureExports(
  file: CorpusFile,
  database: string,
  folder: string,
): Promise<Export[]> {
  const exports: Export[] = []
  for (const format of FORMATS) {
    const name = `export-${format}`
    const path = join(folder, name)
    const service = await startService(name, database, `${path}.log`)
    const found = await exportTo(path, service, format)
    await service.stop()
    const error = await compare(file, path, format)
    rmSync(path)
    exports.push({ format, messages: file.messages, ...found, ...(error && { error }) })
  }
  return exports
}

/** Compares the growth of memory with its target, and reports errors. */
export function exportBars(exports: readonly Export[]): Bar[] {
  return exports.flatMap(({ format, messages, growthMiB = Number.NaN, error }) => [
    {
      what: `growth of memory during the export of ${whole(messages)} messages, ${format}`,
      expected: `under ${MAX_GROWTH_MIB} MiB`,
      found: `${growthMiB.toFixed(1)} MiB`,
      pass: growthMiB < MAX_GROWTH_MIB,
    },
    {
      what: `the export equals the rows, ${format}`,
      expected: 'all of them',
      found: error ?? `${whole(messages)} checked`,
      pass: error === undefined,
    },
  ])
}
