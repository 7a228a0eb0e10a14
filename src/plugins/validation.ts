import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { components } from '../schemas/components.ts'
import { ajv } from '../schemas/validator.ts'

/** An optionally signed decimal integer; a `+` in a query is decoded as a space. */
const DECIMAL = /^[+ -]?[0-9]+$/

/**
 * Converts integer parameters of a query to numbers, clamped to the range of safe integers.
 * The query parser returns strings only, and the validator coerces nothing.
 */
function convertIntegers(query: Record<string, unknown>, names: string[]): void {
  for (const name of names) {
    const value = query[name]
    if (typeof value === 'string' && DECIMAL.test(value)) {
      const limit = Number.MAX_SAFE_INTEGER
      query[name] = Math.max(-limit, Math.min(limit, Number(value)))
    }
  }
}

/** The part of a query's JSON schema that `convertIntegers` needs. */
interface ObjectSchema {
  properties?: Record<string, { type?: unknown }>
}

/** Validates requests with the strict validator of the service. */
async function validation(app: FastifyInstance): Promise<void> {
  for (const component of components) app.addSchema(component)
  app.setValidatorCompiler<ObjectSchema>(({ schema, httpPart }) => {
    // Header schemas are documentation only; hooks check the headers.
    if (httpPart === 'headers') return () => true
    const validate = ajv.compile(schema)
    if (httpPart !== 'querystring') return validate
    const integers = Object.entries(schema.properties ?? {})
      .filter(([, property]) => property.type === 'integer')
      .map(([name]) => name)
    return (query) => {
      convertIntegers(query, integers)
      return validate(query) ? { value: query } : { error: validate.errors ?? [] }
    }
  })
}

export default fp(validation, { name: 'validation' })
