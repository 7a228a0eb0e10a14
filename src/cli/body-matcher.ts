import type { Erasure } from '../db/removal.ts'

/** Digits of a phone number, with or without its plus. */
const NUMBER = /^\+?(\d+)$/

/** Characters with a meaning in regular expressions. */
const SPECIAL = /[\\^$.*+?()[\]{}|/-]/g

/** Returns an expression for an id or a number that is not part of a longer one. */
function patternOf(name: string): RegExp {
  const [, digits] = NUMBER.exec(name) ?? []
  return digits === undefined
    ? new RegExp(`(?<![\\w-])${name.replace(SPECIAL, '\\$&')}(?![\\w-])`)
    : new RegExp(`(?<!\\d)${digits}(?!\\d)`)
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
 * Returns a predicate for bodies that contain an id or the sender's number.
 * A number is also found without its plus, as Meta's bodies have it.
 */
export function prepareBodyMatcher(erasure: Erasure): (body: Uint8Array) => boolean {
  const patterns = ('from' in erasure ? [erasure.from] : erasure.ids).map(patternOf)
  return (body) => textsOf(body).some((text) => patterns.some((pattern) => pattern.test(text)))
}
