import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { writeMessages } from '../../tools/corpus.ts'
import { CHROMIUM, findAccessibilityProblems, openPage, startListening } from './browser.ts'

const skip = CHROMIUM ? false : 'needs chromium on the PATH, or its path in CHROMIUM'

/** Messages of a long list, and the maximum of its rows that may be in the document. */
const MESSAGES = 5000
const MAX_ROWS = 400

const BATCH = 1000

/** Stores messages with a word in each text. */
async function seed(app: App, count: number) {
  const messages = [...writeMessages(count)].map((message, index) => ({
    ...message,
    text: `order ${index} ${message.text ?? ''}`,
  }))
  for (let start = 0; start < count; start += BATCH) {
    await app.store.append(messages.slice(start, start + BATCH))
  }
  await app.store.catchUp()
}

const rows = (page: Page) => page.locator('.rows .row')
const rowAt = (page: Page, position: number) => page.locator(`.row[aria-posinset="${position}"]`)
const focusedPosition = (page: Page) =>
  page.evaluate(() =>
    Number(document.activeElement?.closest('.row')?.getAttribute('aria-posinset')),
  )

/** Returns the position of the row in the middle of the viewport; 0 if there is none. */
const positionInView = (page: Page) =>
  page.evaluate(() => {
    const element = document.elementFromPoint(innerWidth / 2, innerHeight / 2)
    return Number(element?.closest('.row')?.getAttribute('aria-posinset') ?? 0)
  })

/** Scrolls to the end of the list until all of it is loaded. */
async function loadAll(page: Page, count = '5,000') {
  const progress = page.getByText(' shown')
  for (;;) {
    const text = await progress.innerText()
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
    if (text === `${count} of ${count} shown`) return
    await page.waitForFunction(
      (before) => document.querySelector('.shown')?.textContent !== before,
      text,
    )
  }
}

/** Opens the list, loads all of it, and scrolls to its middle. */
async function openInTheMiddle(t: Test, url: string): Promise<Page> {
  const page = await openPage(t, url)
  await page.goto('/dashboard/messages')
  await loadAll(page)
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight / 2))
  await page.waitForFunction(() => document.elementFromPoint(640, 400)?.closest('.row'))
  return page
}

t.test('a long list', { skip }, async (t) => {
  const { app, url } = await startListening(t)
  await seed(app, MESSAGES)

  t.test('keeps only the rows near the viewport in the document', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard/messages')
    await page.getByText('5,000 messages', { exact: true }).waitFor()
    await loadAll(page)
    await rowAt(page, MESSAGES).waitFor()
    const height = await page.evaluate(() => document.documentElement.scrollHeight)
    for (const share of [0.9, 0.5, 0.2, 0.7, 0]) {
      await page.evaluate((top) => scrollTo(0, top), height * share)
      const expected = Math.max(1, MESSAGES * share)
      await page.waitForFunction(
        ([min, max]) => {
          const element = document.elementFromPoint(innerWidth / 2, innerHeight / 2)
          const position = Number(element?.closest('.row')?.getAttribute('aria-posinset') ?? 0)
          return position >= Number(min) && position <= Number(max)
        },
        [expected - 20, expected + 40],
      )
      const count = await rows(page).count()
      t.ok(count <= MAX_ROWS, `${count} rows at ${share}`)
    }
    const end = await page.evaluate(() => document.documentElement.scrollHeight)
    t.ok(Math.abs(end - height) < 2, 'the height of the document stays the same')
    t.equal(await rowAt(page, 1).getAttribute('aria-setsize'), String(MESSAGES))
    t.strictSame(await findAccessibilityProblems(page), [])
  })

  t.test('is restored where it was left', async (t) => {
    const page = await openInTheMiddle(t, url)
    const position = await positionInView(page)
    const text = await rowAt(page, position).locator('.text').textContent()
    await rowAt(page, position).click()
    await page.getByRole('heading', { level: 1, name: /^Message wamid/ }).waitFor()
    await page.goBack()
    await rowAt(page, position).waitFor()
    t.equal(await positionInView(page), position)
    t.equal(await rowAt(page, position).locator('.text').textContent(), text)
    t.ok((await rows(page).count()) <= MAX_ROWS)
  })

  t.test(
    'is walked through by keyboard, also after the focused row has left the view',
    async (t) => {
      const page = await openPage(t, url)
      await page.goto('/dashboard/messages')
      await loadAll(page)
      await page.evaluate(() => scrollTo(0, 0))
      await rowAt(page, 1).waitFor()
      await rowAt(page, 70).locator('a').focus()
      // Row 80 is the last one of its block.
      for (let count = 0; count < 10; count++) await page.keyboard.press('j')
      t.equal(await focusedPosition(page), 80)
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
      await rowAt(page, MESSAGES).waitFor()
      t.equal(await focusedPosition(page), 80, 'the focused row stays in the document')
      const count = await rows(page).count()
      t.ok(count <= MAX_ROWS, `${count} rows`)
      await page.keyboard.press('j')
      t.equal(await focusedPosition(page), 81)
      for (let count = 0; count < 120; count++) await page.keyboard.press('j')
      t.equal(await focusedPosition(page), 201)
      await page.keyboard.press('k')
      t.equal(await focusedPosition(page), 200)
    },
  )

  t.test('starts at the first row in view if no row has the focus', async (t) => {
    const page = await openInTheMiddle(t, url)
    const position = await positionInView(page)
    await page.keyboard.press('j')
    const focused = await focusedPosition(page)
    t.ok(focused <= position && focused > position - 20, `${focused}, ${position} in the middle`)
  })
})

t.test('the total', { skip }, async (t) => {
  const { app, url } = await startListening(t)
  await seed(app, 400)
  const total = (page: Page) => page.locator('output.total')
  const isCount = (address: URL, search: string) =>
    address.searchParams.get('total') === 'exact' && address.searchParams.get('q') === search

  t.test('is not waited for, and a late one of another search is dropped', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard/messages')
    await page.getByText('400 messages', { exact: true }).waitFor()
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    await page.route(
      (address) => isCount(address, 'orde'),
      async (route) => {
        await released
        // The page has aborted the request by then.
        await route.fulfill({ json: { data: [], total: 12_345 } }).catch(() => {})
      },
    )
    const requested = page.waitForRequest((request) => isCount(new URL(request.url()), 'orde'))
    await page.getByLabel('Search texts').fill('orde')
    const request = await requested
    await page.locator('mark').first().waitFor()
    t.equal(await total(page).innerText(), '…')
    t.notOk(request.failure())
    const failed = page.waitForEvent('requestfailed', (failure) => failure === request)
    await page.getByLabel('Search texts').fill('order')
    await failed
    await page.getByText('400 messages', { exact: true }).waitFor()
    release()
    await page.waitForLoadState('networkidle')
    t.equal(await total(page).innerText(), '400 messages')
  })

  t.test('is said to be unavailable if it cannot be counted', async (t) => {
    const page = await openPage(t, url, { expectedErrors: /503/ })
    await page.route(
      (address) => isCount(address, 'order'),
      (route) => route.fulfill({ status: 503, json: { detail: 'query timed out' } }),
    )
    await page.goto('/dashboard/messages?q=order')
    await page.getByText('Count not available').waitFor()
    t.equal(await page.getByRole('alert').count(), 0)
    t.ok((await rows(page).count()) >= 30)
    await loadAll(page, '400')
    t.equal(await total(page).innerText(), '400 messages')
  })

  t.test('needs no request of its own if the first page is the last one', async (t) => {
    const page = await openPage(t, url)
    let counts = 0
    page.on('request', (request) => {
      if (new URL(request.url()).searchParams.get('total') === 'exact') counts++
    })
    await page.goto('/dashboard/messages?q=order+399')
    await page.getByText('1 message', { exact: true }).waitFor()
    await page.waitForLoadState('networkidle')
    t.equal(counts, 0)
  })
})
