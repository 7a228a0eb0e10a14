import { readFileSync } from 'node:fs'

const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** Node options of production, from the script `start` in package.json. */
export const SHIPPED_OPTIONS: readonly string[] = String(scripts.start)
  .split(' ')
  .filter((word) => word.startsWith('--'))
