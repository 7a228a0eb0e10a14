import { readFileSync } from 'node:fs'
import t from 'tap'
import { SHIPPED_OPTIONS } from '../tools/shipped-options.ts'

const dockerfile = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8')

t.test('starts the service with the options of npm start', async (t) => {
  const [, entry = '[]'] = /^ENTRYPOINT (.+)$/m.exec(dockerfile) ?? []
  t.same(JSON.parse(entry), ['node', ...SHIPPED_OPTIONS, '/app/bin/lyftr-webhook.js'])
})

t.test('fills the compile cache with the options of npm start', async (t) => {
  // A compile cache is valid only for the options that it was created with.
  t.match(dockerfile, `node ${SHIPPED_OPTIONS.join(' ')} bin/lyftr-webhook.js`)
})

t.test('runs as a numeric user, which runAsNonRoot requires', async (t) => {
  const [user, owner] = [/^USER (.+)$/m, /chown (\S+) \/data/].map(
    (line) => line.exec(dockerfile)?.[1],
  )
  t.match(user, /^[1-9]\d*:[1-9]\d*$/)
  t.equal(owner, user, 'the user owns /data')
})
