import type { Erasure } from '../db/removal.ts'

/** Digits of a phone number, with or without its plus. */
const NUMBER = /^\+?(\d+)$/

/** Returns a function that finds a phone number that is not part of a longer one, or any other text. */
function finderOf(name: string): (text: string) => boolean {
  const [, digits] = NUMBER.exec(name) ?? []
  if (digits === undefined) return (text) => text.includes(name)
  const pattern = new RegExp(`(?<!\\d)${digits}(?!\\d)`)
  return (text) => pattern.test(text)
}

/** Returns the strings and numbers of a JSON value, names of properties included. */
function* leavesOf(value: unknown): Generator<string, void> {
  if (typeof value !== 'object' || value === null) yield String(value)
  else {
    for (const [name, inner] of Object.entries(value)) {
      yield name
      yield* leavesOf(inner)
    }
  }
}

/** Returns the texts of a body: as it is, and if it is JSON, those without escapes. */
function textsOf(body: Uint8Array): string[] {
  const text = new TextDecoder().decode(body)
  try {
    return [text, ...leavesOf(JSON.parse(text))]
  } catch {
    return [text]
  }
}

/**
 * Returns a function that returns whether a body names what is to be erased.
 * A sender's phone number is also found without its plus, as Meta's bodies have it.
 */
export function prepareNamed(erasure: Erasure): (body: Uint8Array) => boolean {
  const finders = ('from' in erasure ? [erasure.from] : erasure.ids).map(finderOf)
  return (body) => textsOf(body).some((text) => finders.some((find) => find(text)))
}
