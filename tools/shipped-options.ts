import { readFileSync } from 'node:fs'

const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** Command-line options of Node that the service ships with: those of `npm start`. */
export const SHIPPED_OPTIONS: readonly string[] = String(scripts.start)
  .split(' ')
  .filter((word) => word.startsWith('--'))
