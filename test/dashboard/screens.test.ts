import type { Page } from 'playwright-core'
import t from 'tap'
import type { App } from '../../src/app.ts'
import { parseConfig } from '../../src/config.ts'
import { NO_SOURCES, post, postAll, sign } from '../service.ts'
import { CHROMIUM, findAccessibilityProblems, openPage, startListening } from './browser.ts'

const skip = CHROMIUM ? false : 'needs chromium on the PATH, or its path in CHROMIUM'

const HOUR_MS = 3_600_000

/** Stores 120 messages of the last days, and some with other texts. */
async function seed(t: Parameters<typeof postAll>[0], app: App) {
  const at = (hours: number) => new Date(Date.now() - hours * HOUR_MS).toISOString()
  const usual = Array.from({ length: 120 }, (_, index) => ({
    message_id: `m${index}`,
    ts: at(index + 4),
    text: `order ${index}`,
  }))
  await Promise.all(usual.map((message) => postAll(t, app, [message])))
  await postAll(t, app, [
    { message_id: 'street', from: '+49170', ts: at(3), text: 'Hauptstraße 5' },
    { message_id: 'arabic', from: '+971', ts: at(2), text: 'مرحبا بالعالم' },
    { message_id: 'a/b?c#ü', ts: at(1), text: `${'long '.repeat(300)}<b>bold</b>` },
  ])
}

const rows = (page: Page) => page.locator('.rows .row')

t.test('the dashboard in a browser', { skip }, async (t) => {
  const { app, url } = await startListening(t)
  await seed(t, app)
  const broken = '{"from":"9198","text":"שלום"}'
  await post(app, broken, { 'x-signature': sign(broken) })
  await post(app, Buffer.from([0xff, 0xfe]), { 'x-signature': sign(Buffer.from([0xff, 0xfe])) })

  t.test('a search marks its matches, and its address shows the same', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard/messages')
    await rows(page).first().waitFor()
    await page.getByLabel('Search texts').fill('STRASSE')
    await page.getByText('1 message', { exact: true }).waitFor()
    t.equal(await page.locator('mark').innerText(), 'straße')
    t.match(page.url(), '/dashboard/messages?q=STRASSE')
    await page.reload()
    await page.getByText('1 message', { exact: true }).waitFor()
    t.equal(await page.getByLabel('Search texts').inputValue(), 'STRASSE')
    await page.getByLabel('Search texts').fill('nothing like it')
    await page.getByText('No message matches.').waitFor()
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.getByText('123 messages', { exact: true }).waitFor()
  })

  t.test('filters and the order are in the address', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard/messages?from=%2B49170&order=asc&source=webhook&type=text')
    await page.getByText('1 message', { exact: true }).waitFor()
    t.equal(await page.getByLabel('From').inputValue(), '+49170')
    t.equal(await page.getByLabel('Source').inputValue(), 'webhook')
    await page.getByRole('button', { name: 'Oldest first' }).click()
    await page.getByRole('button', { name: 'Newest first' }).waitFor()
    t.notMatch(page.url(), 'order=')
    await page.goBack()
    await page.getByRole('button', { name: 'Oldest first' }).waitFor()
    await page.getByLabel('Since').fill('2025-01-15T10:00')
    await page.waitForURL(/since=2025-01-15T04%3A30%3A00Z/)
  })

  t.test('the list continues while it is scrolled, and is restored on the way back', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard/messages')
    await page.getByText('123 of 123 shown').waitFor()
    await page.keyboard.press('End')
    const row = page.locator('.row[aria-posinset="101"]')
    const text = await row.locator('.text').textContent()
    await row.click()
    await page.getByRole('heading', { level: 1, name: /^Message m/ }).waitFor()
    await page.goBack()
    t.equal(await row.locator('.text').textContent(), text)
    await page.waitForFunction(() => window.scrollY > 500)
  })

  t.test('a message is shown with all of its fields', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard/messages')
    await rows(page).filter({ hasText: '<b>bold</b>' }).click()
    await page.getByRole('heading', { level: 1, name: 'Message a/b?c#ü' }).waitFor()
    await page.getByText('<b>bold</b>').waitFor()
    await page.reload()
    await page.getByText('<b>bold</b>').waitFor()
    await page.getByRole('button', { name: 'Copy as curl' }).waitFor()
    const time = page.locator('dd time').first()
    const [shown, title, iso] = await Promise.all([
      time.innerText(),
      time.getAttribute('title'),
      time.getAttribute('datetime'),
    ])
    t.equal(Date.parse(`${shown}+05:30`), Math.floor(Date.parse(String(iso)) / 1000) * 1000)
    t.equal(title, `${iso?.slice(0, 19).replace('T', ' ')} UTC`)
    await page.getByRole('button', { name: 'UTC' }).click()
    t.equal(`${await time.innerText()} UTC`, title)
  })

  t.test('an unknown message is reported where it would be', async (t) => {
    const page = await openPage(t, url, { expectedErrors: /404/ })
    await page.goto('/dashboard/messages/unknown')
    await page.getByRole('alert').getByText('No message has this id.').waitFor()
  })

  t.test('rejected bodies are shown with their content and reason', async (t) => {
    const page = await openPage(t, url)
    const listed = async () => {
      await page.goto('/dashboard/rejected')
      await page.locator('.row, p.empty').first().waitFor()
      return rows(page).count()
    }
    // The service keeps them about a second later.
    while ((await listed()) < 2) await page.locator('h1').waitFor()
    await rows(page).filter({ hasText: 'json invalid' }).click()
    await page.getByText('not valid UTF-8').waitFor()
    t.equal(await page.locator('pre').innerText(), Buffer.from([0xff, 0xfe]).toString('base64'))
    await page.goBack()
    await rows(page).filter({ hasText: 'body.from: value error' }).click()
    await page.getByText('"שלום"', { exact: true }).waitFor()
    t.match(await page.locator('article dl').innerText(), /422/)
  })

  t.test('the overview shows the rate, and a zoom is in the address', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard')
    await page.getByRole('img', { name: /123 messages from .+ by hour/ }).waitFor()
    await page.locator('.u-over').waitFor()
    await page.getByRole('link', { name: '24h' }).click()
    await page.waitForURL(/range=24h/)
    await page.getByRole('img', { name: / messages from .+ by hour/ }).waitFor()
    await page.locator('.u-over').hover()
    const box = await page.locator('.u-over').boundingBox()
    if (!box) throw new Error('there is no chart')
    await page.mouse.move(box.x + box.width / 4, box.y + 20)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width / 2, box.y + 20, { steps: 5 })
    await page.mouse.up()
    await page.waitForURL(/since=.+&until=/)
    await page.getByText('Messages per minute').waitFor()
    const { searchParams } = new URL(page.url())
    const length =
      Date.parse(String(searchParams.get('until'))) - Date.parse(String(searchParams.get('since')))
    t.ok(length > 5 * HOUR_MS && length < 7 * HOUR_MS, `${length}`)
    await page.reload()
    await page.getByText('Messages per minute').waitFor()
    await page.getByText('Ready').waitFor()
    await page.getByText('POST /webhook').waitFor()
    await page.getByRole('link', { name: '+971' }).click()
    await page.getByText('1 message', { exact: true }).waitFor()
  })

  t.test('works by keyboard', async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard')
    await page.getByText('Ready').waitFor()
    await page.keyboard.press('Tab')
    t.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the content')
    await page.keyboard.press('Enter')
    await page.keyboard.press('?')
    await page.getByRole('dialog').getByText('search messages').waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('/')
    await page.locator('input[type=search]:focus').waitFor()
    await page.keyboard.type('order 77')
    await page.getByText('1 message', { exact: true }).waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Message m77' }).waitFor()
    await page.keyboard.press('r')
    await page.getByRole('heading', { level: 1, name: 'Rejected' }).waitFor()
  })

  const hasExport = '/messages/export' in Object(app.swagger().paths)
  const skipExport = hasExport ? false : 'needs GET /messages/export'
  t.test('a file of the view is exported', { skip: skipExport }, async (t) => {
    const page = await openPage(t, url)
    await page.goto('/dashboard/messages?from=%2B971')
    await page.getByText('1 message', { exact: true }).waitFor()
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Export as NDJSON' }).click()
    t.match((await download).suggestedFilename(), /^messages-.+\.ndjson$/)
    const lines: string[] = []
    for await (const chunk of await (await download).createReadStream()) lines.push(String(chunk))
    t.match(JSON.parse(lines.join('')), { message_id: 'arabic' })
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    t.test(`axe-core finds nothing in ${colorScheme}, and a phone scrolls down only`, async (t) => {
      const page = await openPage(t, url, { colorScheme, viewport: { width: 360, height: 740 } })
      const address = encodeURIComponent('a/b?c#ü')
      for (const [path, text] of [
        ['', 'Ready'],
        ['/messages?q=order', 'order 0'],
        [`/messages/${address}`, 'Payload'],
        ['/rejected', '422'],
        ['/rejected/1', 'Reason'],
      ] as const) {
        await page.goto(`/dashboard${path}`)
        await page.getByText(text).first().waitFor()
        await page.waitForLoadState('networkidle')
        t.strictSame(await findAccessibilityProblems(page), [], path)
        const width = await page.evaluate(() => document.documentElement.scrollWidth)
        t.equal(width, 360, `${path} fits`)
      }
    })
  }
})

t.test('an empty service says how to send the first message', { skip }, async (t) => {
  const { app, url } = await startListening(t)
  const page = await openPage(t, url)
  await page.goto('/dashboard/messages')
  const command = await page.locator('pre').innerText()
  t.match(command, `curl ${url}/webhook`)
  const { exec } = await import('node:child_process')
  const { promisify } = await import('node:util')
  const env = { ...process.env, WEBHOOK_SECRET: 'testsecret' }
  const { stdout } = await promisify(exec)(command, { env })
  t.strictSame(JSON.parse(stdout), { status: 'ok' })
  await app.inject('/messages')
  await page.reload()
  await page.getByText('1 message', { exact: true }).waitFor()
})

t.test('an empty service without the source webhook names its own sources', { skip }, async (t) => {
  const { sources } = parseConfig({ META_APP_SECRET: 'testsecret' })
  const { url } = await startListening(t, { sources })
  const page = await openPage(t, url)
  await page.goto('/dashboard')
  await page.getByText(`meta: ${url}/webhook/meta`).waitFor()
  t.equal(await page.locator('pre').innerText(), 'npx lyftr-webhook send --source meta')
  t.strictSame(await findAccessibilityProblems(page), [])
})

t.test('a service without any source says which setting it needs', { skip }, async (t) => {
  const { url } = await startListening(t, { sources: NO_SOURCES })
  const page = await openPage(t, url)
  await page.goto('/dashboard/messages')
  await page.getByText('Set WEBHOOK_SECRET, and restart the service.').waitFor()
  t.equal(await page.locator('pre').count(), 0)
})
