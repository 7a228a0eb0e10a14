import { Ajv } from 'ajv'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { instantKey, isMessageInstant } from '../db/instant.ts'

/**
 * One strict validator for everything: all problems at once and nothing coerced. Only a query's integers, which can
 * arrive as nothing but text, are turned into numbers first.
 */
const ajv = new Ajv({
  allErrors: true,
  coerceTypes: false,
  useDefaults: true,
  // Mistakes carry the value and the schema, from which the errors plugin words them.
  verbose: true,
  strictTypes: false,
  formats: {
    // What every store can hold: PostgreSQL takes no NUL, and UTF-8 has no unpaired surrogates.
    storable: (text: string) => text.isWellFormed() && !text.includes('\0'),
    'utc-instant': isMessageInstant,
    instant: (text: string) => instantKey(text) !== undefined,
  },
})
ajv.addVocabulary(['x-expected'])

const DECIMAL = /^[+ -]?[0-9]+$/

/** Turns a query's texts into the numbers that its schema has there, as far as they are integers. */
function readIntegers(query: Record<string, unknown>, names: string[]): void {
  for (const name of names) {
    const value = query[name]
    if (typeof value === 'string' && DECIMAL.test(value)) {
      const limit = Number.MAX_SAFE_INTEGER
      query[name] = Math.max(-limit, Math.min(limit, Number(value)))
    }
  }
}

interface ObjectSchema {
  properties?: Record<string, { type?: unknown }>
}

async function validation(app: FastifyInstance): Promise<void> {
  app.setValidatorCompiler<ObjectSchema>(({ schema, httpPart }) => {
    const validate = ajv.compile(schema)
    if (httpPart !== 'querystring') return validate
    const integers = Object.entries(schema.properties ?? {})
      .filter(([, property]) => property.type === 'integer')
      .map(([name]) => name)
    return (query) => {
      readIntegers(query, integers)
      return validate(query) ? { value: query } : { error: validate.errors ?? [] }
    }
  })
}

export default fp(validation, { name: 'validation' })
