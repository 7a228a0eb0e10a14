import { readFileSync } from 'node:fs'
import t from 'tap'
import { withSettingsTable } from '../docs/settings-table.ts'

t.test(
  'the README has the table of settings that is generated from their declarations',
  async (t) => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    t.equal(readme, withSettingsTable(readme), 'run `npm run docs:settings`')
  },
)
