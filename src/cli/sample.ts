import type { Config } from '../config.ts'
import { findSource, requiredSettings, SOURCES } from '../sources/all.ts'
import type { SampleMessage, SignedPost } from '../sources/source.ts'

/** Default content of test messages. */
export const SAMPLE = { from: '+919876543210', to: '+14155550100', text: 'Hello' }

/** Names of all sources. */
export const SOURCE_NAMES: readonly string[] = SOURCES.map(({ name }) => name)

/**
 * Returns a post of this message as a sender signs it.
 * @throws Error if there is no such source, or it is not configured.
 */
export function signSample({ sources }: Config, name: string, message: SampleMessage): SignedPost {
  const source = findSource(name)
  if (!source) throw new Error(`there is no source ${name}`)
  const post = source.signSample(sources[source.name], message)
  if (post) return post
  throw new Error(`the source ${name} is not configured: set ${requiredSettings(source)}`)
}
