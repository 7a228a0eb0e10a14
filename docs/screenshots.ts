import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { buildApp } from '../src/app.ts'
import { parseConfig } from '../src/config.ts'
import type { NewMessage } from '../src/message/message.ts'
import { writeMessages } from '../tools/corpus.ts'

/** Messages, and the days over which they are spread. */
const MESSAGES = 20_000
const DAYS = 8

const DAY_MS = 86_400_000

/** Address of each screen, and elements that are there when it is complete, by the name of the file. */
const SCREENS = {
  overview: { path: '/dashboard', parts: ['.u-over', '.senders a', 'text=POST /webhook/meta'] },
  messages: { path: '/dashboard/messages?q=coffee', parts: ['mark'] },
  message: { path: '/dashboard/messages/wamid.image', parts: ['.tree'] },
}

/** Yields messages of the last days, with more by day than at night. */
function* recentMessages(now: number): Generator<NewMessage> {
  let index = 0
  for (const message of writeMessages(MESSAGES)) {
    const at = now - (DAYS * DAY_MS * (MESSAGES - index++)) / MESSAGES
    const shift = Math.sin(((at % DAY_MS) / DAY_MS) * 2 * Math.PI) * 2.5 * 3_600_000
    const ts = new Date(Math.min(at + shift, now)).toISOString()
    yield { ...message, ts, created_at: `${ts.slice(0, 19)}Z` }
  }
  const ts = new Date(now - 60_000).toISOString()
  yield {
    message_id: 'wamid.image',
    from_msisdn: '+919876543210',
    to_msisdn: '+14155550100',
    ts,
    text: 'The invoice of last week',
    created_at: `${ts.slice(0, 19)}Z`,
    source: 'meta',
    type: 'image',
    payload: JSON.stringify({
      from: '919876543210',
      id: 'wamid.image',
      timestamp: String(Math.floor(Date.parse(ts) / 1000)),
      type: 'image',
      image: {
        caption: 'The invoice of last week',
        mime_type: 'image/jpeg',
        sha256: 'kbFmQZxGmYbYdPtF0Fu0XJiCA1wCI0IYd7o1Y4o6c6E=',
        id: '1003383421387256',
      },
    }),
  }
}

const folder = mkdtempSync(join(tmpdir(), 'screenshots-'))
const app = await buildApp(
  parseConfig({
    WEBHOOK_SECRET: 'testsecret',
    META_APP_SECRET: 'testsecret',
    DATABASE_URL: `sqlite:///${folder}/app.db`,
    LOG_LEVEL: 'ERROR',
  }),
)
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu'],
})
try {
  const messages = [...recentMessages(Date.now())]
  for (let start = 0; start < messages.length; start += 1000) {
    await app.store.append(messages.slice(start, start + 1000))
  }
  const baseURL = await app.listen({ host: '127.0.0.1', port: 0 })
  for (const colorScheme of ['light', 'dark'] as const) {
    const viewport = { width: 1120, height: 660 }
    const context = await browser.newContext({ baseURL, colorScheme, viewport })
    const page = await context.newPage()
    for (const [name, { path, parts }] of Object.entries(SCREENS)) {
      await page.goto(path)
      for (const part of parts) await page.locator(part).first().waitFor()
      await page.waitForLoadState('networkidle')
      const file = `dashboard-${name}-${colorScheme}.png`
      await page.screenshot({ path: new URL(file, import.meta.url).pathname })
    }
    await context.close()
  }
} finally {
  await browser.close()
  await app.close()
  rmSync(folder, { recursive: true })
}
