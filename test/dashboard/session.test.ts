import t from 'tap'
import { postAll, sign, startApp, startService, wire } from '../service.ts'
import { CHROMIUM, openPage, startListening } from './browser.ts'

const skip = CHROMIUM ? false : 'needs chromium on the PATH, or its path in CHROMIUM'

t.test('asks for a token, and says when it is refused', { skip }, async (t) => {
  const { url } = await startListening(t, { apiTokens: ['first'] })
  const page = await openPage(t, url, { expectedErrors: /401/ })
  await page.goto('/dashboard/messages?q=a')
  await page.getByLabel('API token').fill('wrong')
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByRole('alert').getByText('does not accept this token').waitFor()
  await page.getByLabel('API token').fill('first')
  await page.keyboard.press('Enter')
  await page.getByText('0 messages', { exact: true }).waitFor()
  await page.reload()
  await page.getByText('0 messages', { exact: true }).waitFor()
  t.notMatch(page.url(), 'first')
  t.strictSame(await page.context().cookies(), [])
  t.equal(await page.evaluate(() => localStorage.getItem('token')), null)

  const other = await page.context().newPage()
  await other.goto(`${url}/dashboard`)
  await other.getByLabel('API token').waitFor()

  await page.getByRole('button', { name: 'Forget token' }).click()
  await page.getByLabel('API token').waitFor()
  t.equal(await page.evaluate(() => sessionStorage.length), 0)
})

t.test('says when a token stops working', { skip }, async (t) => {
  const { app, url } = await startListening(t, { apiTokens: ['first'] })
  const page = await openPage(t, url, { expectedErrors: /401|ERR_/ })
  await page.goto('/dashboard/rejected')
  await page.getByLabel('API token').fill('first')
  await page.keyboard.press('Enter')
  await page.getByText('Nothing was rejected.').waitFor()
  await app.close()
  const { app: changed } = await startApp(t, { apiTokens: ['second'] })
  await changed.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })
  await page.getByRole('link', { name: 'Messages' }).click()
  await page.getByRole('alert').getByText('no longer accepted').waitFor()
})

t.test('counts new messages, also after the service restarts', { skip }, async (t) => {
  const service = await startService(t)
  const page = await openPage(t, service.url, { expectedErrors: /ERR_|503/ })
  const send = async (message_id: string, text: string) => {
    const body = wire({ message_id, text })
    const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
    const response = await fetch(`${service.url}/webhook`, { method: 'POST', headers, body })
    t.equal(response.status, 200)
  }
  await send('m0', 'order')
  const connected = () =>
    page.waitForResponse((response) =>
      /event-stream/.test(String(response.headers()['content-type'])),
    )
  const first = connected()
  await page.goto('/dashboard/messages?q=order')
  await page.getByText('1 message', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Live' }).click()
  await first
  t.match(page.url(), 'live=1')
  await send('m1', 'order')
  await page.getByRole('button', { name: '1 new' }).waitFor()
  await send('m2', 'other')
  await send('m3', 'ORDER')
  await page.getByRole('button', { name: '2 new' }).waitFor()
  t.equal(await page.locator('.row').count(), 1, 'the list does not move')
  await page.getByRole('button', { name: '2 new' }).click()
  await page.getByText('3 messages', { exact: true }).waitFor()
  await page.getByRole('button', { name: /new/ }).waitFor({ state: 'detached' })

  service.process.kill('SIGTERM')
  await service.ended
  await page.getByText('Connecting again').waitFor()
  const again = connected()
  await startService(t, { PORT: new URL(service.url).port })
  await send('m4', 'order')
  await again
  await page.getByRole('button', { name: '1 new' }).waitFor()
})

t.test('an error is shown where it happened, and another attempt succeeds', { skip }, async (t) => {
  const { app, url } = await startListening(t)
  await postAll(t, app, [{ message_id: 'm1' }])
  const page = await openPage(t, url, { expectedErrors: /ERR_/ })
  await page.goto('/dashboard/rejected')
  await page.getByText('Nothing was rejected.').waitFor()
  await page.context().setOffline(true)
  await page.getByRole('link', { name: 'Messages' }).click()
  await page.getByRole('alert').getByText('The service does not respond.').waitFor()
  await page.context().setOffline(false)
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.getByText('1 message', { exact: true }).waitFor()
})
