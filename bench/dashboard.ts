import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Browser, chromium, type Page } from 'playwright-core'
import { corpusFile } from './corpus-file.ts'
import { type Bar, barTable, median, whole } from './figures.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { startService } from './process.ts'

/** The results file of `npm run bench:dashboard`. */
export interface DashboardResults {
  date: string
  machine: Machine
  settings: { messages: number; rounds: number }
  /** Milliseconds from the navigation to the first contentful paint, by screen. */
  firstPaint: { screen: string; emptyCache: number; cached: number }[]
  /** By word: milliseconds from each keystroke until the rows that match are rendered. */
  keystrokes: { word: string; ms: number[] }[]
  bars: Bar[]
}

const HELP = `node bench/dashboard.ts [--messages 1000000] [--rounds 7] [--folder bench/data]
                        [--out bench/results/dashboard.json]

Measures the dashboard in Chromium over a SQLite file of --messages messages: the first paint, and each keystroke of
searches for words of different frequency. CHROMIUM is the path of the browser.
`

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '7' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/dashboard.json', import.meta.url).pathname },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const settings = { messages: Number(values.messages), rounds: Number(values.rounds) }

/** Path of each screen. */
const SCREENS = { overview: '/dashboard', messages: '/dashboard/messages' }

/** Words of the corpus, which occur in 2 % to half of the messages. */
const WORDS = ['coffee', 'order', 'invoice', 'please', 'garden']

/** Milliseconds between keystrokes, after the results of the one before. */
const PAUSE_MS = 300

/** Returns the time of the first paint of the current page. */
const FIRST_PAINT = `new Promise((resolve) => {
  const check = () => {
    const [paint] = performance.getEntriesByName('first-contentful-paint')
    if (paint) resolve(paint.startTime)
    else setTimeout(check, 5)
  }
  check()
})`

/** Adds a character to the search, and returns the time until the first row has the whole search marked. */
const typeCharacter = (character: string) => `new Promise((resolve) => {
  const input = document.querySelector('input[type=search]')
  const start = performance.now()
  input.value += ${JSON.stringify(character)}
  input.dispatchEvent(new Event('input', { bubbles: true }))
  const check = () => {
    const mark = document.querySelector('.rows:not(.stale) .row mark')
    if (mark?.textContent.toLowerCase() === input.value) resolve(performance.now() - start)
    else requestAnimationFrame(check)
  }
  check()
})`

async function measureFirstPaint(browser: Browser, url: string): Promise<[number, number]> {
  const context = await browser.newContext()
  const page = await context.newPage()
  const open = async () => {
    await page.goto(url)
    return await page.evaluate<number>(FIRST_PAINT)
  }
  const emptyCache = await open()
  await page.goto('about:blank')
  const cached = await open()
  await context.close()
  return [emptyCache, cached]
}

async function measureWord(page: Page, word: string): Promise<number[]> {
  await page.locator('input[type=search]').fill('')
  await page.locator('.rows:not(.stale) .row').first().waitFor()
  const ms: number[] = []
  for (const character of word) {
    await page.waitForTimeout(PAUSE_MS)
    ms.push(await page.evaluate<number>(typeCharacter(character)))
  }
  return ms
}

mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'dashboard-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)
const corpus = await corpusFile(values.folder, settings.messages)
copyFileSync(corpus.path, join(folder, 'app.db'))
const service = await startService('dashboard', `sqlite:///${folder}/app.db`, join(folder, 'log'))
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
})

const firstPaint: DashboardResults['firstPaint'] = []
for (const [screen, path] of Object.entries(SCREENS)) {
  const rounds: [number, number][] = []
  for (let round = 0; round < settings.rounds; round++) {
    rounds.push(await measureFirstPaint(browser, service.url + path))
  }
  const [emptyCache, cached] = [0, 1].map((at) => median(rounds.map((round) => round[at] ?? 0)))
  firstPaint.push({ screen, emptyCache: emptyCache ?? 0, cached: cached ?? 0 })
}

const page = await browser.newPage()
await page.goto(`${service.url}/dashboard/messages`)
const keystrokes: DashboardResults['keystrokes'] = []
for (const word of WORDS) keystrokes.push({ word, ms: await measureWord(page, word) })
await browser.close()
await service.stop()

const all = keystrokes.flatMap(({ ms }) => ms)
const bars: Bar[] = [
  ...firstPaint.map(({ screen, emptyCache, cached }) => ({
    what: `first paint, ${screen}`,
    expected: 'less than 500 ms',
    found: `${whole(emptyCache)} ms with an empty cache, ${whole(cached)} ms cached`,
    pass: emptyCache < 500,
  })),
  {
    what: `results after a keystroke, ${whole(settings.messages)} messages`,
    expected: 'less than 300 ms',
    found: `median ${whole(median(all))} ms, longest ${whole(Math.max(...all))} ms, ${all.filter((ms) => ms < 300).length} of ${all.length} within 300 ms`,
    pass: Math.max(...all) < 300,
  },
]
const date = new Date().toISOString().slice(0, 10)
const results: DashboardResults = { date, machine, settings, firstPaint, keystrokes, bars }
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)
process.stdout.write(`${barTable(bars)}\n`)
