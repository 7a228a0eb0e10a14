import { readFileSync } from 'node:fs'

/** Stores that commands of the manual are for. */
export const STORES = ['sqlite', 'postgresql'] as const

/** A store that commands of the manual are for. */
export type StoreName = (typeof STORES)[number]

/** Commands of the manual that are run together. */
export interface Block {
  /** The heading of its section. */
  section: string
  /** The commands, as they are written. */
  script: string
  /** Stores that it is for. */
  stores: readonly StoreName[]
  /** Whether the manual says that the service is stopped. */
  stopped: boolean
}

/**
 * Reads the commands of a document, in their order.
 * Every fenced block is `bash`. The words after it, which are not displayed, say how the block is run: `sqlite` or
 * `postgresql` for one store only, `stopped` while the service is stopped.
 * @throws Error for another language or word, which would leave commands without a test.
 */
export function readBlocks(file: URL): Block[] {
  const blocks: Block[] = []
  let section = ''
  const pattern = /^## (.*)|^### (.*)|^( *)```(.*)\n([\s\S]*?)^ *```$/gm
  for (const match of readFileSync(file, 'utf8').matchAll(pattern)) {
    const [, title, subtitle, indentation = '', info = '', lines = ''] = match
    section = title ?? subtitle ?? section
    if (title ?? subtitle) continue
    const [language, ...words] = info.split(' ')
    const unknown = words.filter((word) => word !== 'stopped' && !STORES.some((s) => s === word))
    if (language !== 'bash' || unknown.length > 0) {
      throw new Error(`${section}: \`\`\`${info}: expected bash, sqlite, postgresql, stopped`)
    }
    const named = STORES.filter((store) => words.includes(store))
    blocks.push({
      section,
      script: lines.replaceAll(new RegExp(`^${indentation}`, 'gm'), ''),
      stores: named.length > 0 ? named : STORES,
      stopped: words.includes('stopped'),
    })
  }
  return blocks
}
