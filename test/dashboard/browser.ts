import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import type { Config } from '../../src/config.ts'
import { startApp } from '../service.ts'

const OPTIONS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Maximum milliseconds to wait for an element; the machine may be slow. */
const TIMEOUT_MS = 60_000

/** Path of Chromium: `CHROMIUM`, or `chromium` on the PATH; undefined if there is none. */
export const CHROMIUM =
  process.env.CHROMIUM ??
  String(process.env.PATH)
    .split(delimiter)
    .map((folder) => join(folder, 'chromium'))
    .find(existsSync)

let browser: Promise<Browser> | undefined

/** Opens a page that fails the test for errors, violations of the policy and requests to other hosts. */
export async function openPage(
  t: Test,
  baseURL: string,
  options: BrowserContextOptions & { expectedErrors?: RegExp } = {},
): Promise<Page> {
  browser ??= chromium.launch({ executablePath: String(CHROMIUM), args: OPTIONS })
  const { expectedErrors, ...contextOptions } = options
  const context = await (await browser).newContext({
    baseURL,
    timezoneId: 'Asia/Kolkata',
    viewport: { width: 1280, height: 800 },
    ...contextOptions,
  })
  t.teardown(() => context.close())
  context.setDefaultTimeout(TIMEOUT_MS)
  const page = await context.newPage()
  page.on('pageerror', (error) => t.fail(error.message))
  page.on('console', (message) => {
    const text = message.text()
    if (message.type() === 'error' && !expectedErrors?.test(text)) t.fail(text)
  })
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url())
    if (protocol !== 'blob:' && origin !== baseURL) t.fail(`requests ${request.url()}`)
  })
  await page.exposeFunction('reportViolation', (text: string) => t.fail(text))
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      Reflect.get(window, 'reportViolation')(`violates ${violatedDirective}: ${blockedURI}`)
    })
  })
  return page
}

/** Closes the browser after all tests of the file. */
t.teardown(async () => (await browser)?.close())

/** Starts an app that listens. */
export async function startListening(
  t: Test,
  overrides: Partial<Config> = {},
): Promise<{ app: App; url: string }> {
  const { app } = await startApp(t, overrides)
  return { app, url: await app.listen({ host: '127.0.0.1', port: 0 }) }
}

/** Returns what axe-core finds wrong with a page. */
export async function findAccessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const { violations } = await Reflect.get(window, 'axe').run()
    return violations.map(
      ({ id, nodes }: { id: string; nodes: { html: string; failureSummary: string }[] }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`,
    )
  })
}
