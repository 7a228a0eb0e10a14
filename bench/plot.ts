import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dashboardSection } from './sections/dashboard.ts'
import { feedSection } from './sections/feed.ts'
import { importSection } from './sections/import.ts'
import { ingestSection } from './sections/ingest.ts'
import { postgresSection } from './sections/postgres.ts'
import { postgresReadsSection, readsSection } from './sections/reads.ts'
import { retentionSection } from './sections/retention.ts'
import { soakSection } from './sections/soak.ts'
import { sourcesSection } from './sections/sources.ts'

/**
 * Generates the charts and tables of docs/benchmarks.md from the results.
 * Replaces the text between two markers; the text outside them is written by hand.
 */
const results = new URL('./results/', import.meta.url)
const page = new URL('../docs/benchmarks.md', import.meta.url)

const BEGIN = '<!-- figures -->'
const END = '<!-- /figures -->'

/** Returns the section of a benchmark; none if the benchmark has no results. */
function section<Results>(file: string, build: (results: Results) => string): string[] {
  const path = new URL(file, results)
  return existsSync(path) ? [build(JSON.parse(readFileSync(path, 'utf8')))] : []
}

const sections = [
  section('ingest.json', ingestSection),
  section('import.json', importSection),
  section('sources.json', sourcesSection),
  section('feed.json', feedSection),
  section('retention.json', retentionSection),
  section('postgres.json', postgresSection),
  section('reads.json', readsSection),
  section('reads-postgres.json', postgresReadsSection),
  section('dashboard.json', dashboardSection),
  section('soak.json', soakSection),
].flat()
const before = readFileSync(page, 'utf8')
const begin = before.indexOf(BEGIN)
const end = before.indexOf(END)
if (begin < 0 || end < begin) throw new Error(`docs/benchmarks.md needs ${BEGIN} and then ${END}`)
writeFileSync(
  page,
  `${before.slice(0, begin + BEGIN.length)}\n\n${sections.join('\n\n')}\n\n${before.slice(end)}`,
)
