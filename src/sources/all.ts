import { meta } from './meta.ts'
import type { Source } from './source.ts'
import { standard } from './standard.ts'
import { webhook } from './webhook.ts'

/** The list of sources; adding a source takes its file, its tests and an entry here. */
const list = [webhook, meta, standard] as const

/** One of the sources, with its name and the types of its settings. */
export type KnownSource = (typeof list)[number]

/** Every source. */
export const SOURCES: readonly Source<KnownSource['name']>[] = list

/** Returns the source with this name, if there is one. */
export function findSource(name: string): Source<KnownSource['name']> | undefined {
  return SOURCES.find((source) => source.name === name)
}

/** Returns the names of the settings without which a source is not configured. */
export function requiredSettings({ settings }: Source): string {
  return Object.values(settings)
    .filter(({ secret, requires }) => secret && requires === undefined)
    .map(({ name }) => name)
    .join(' and ')
}
