import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { components } from '../schemas/components.ts'
import { ajv } from '../schemas/validator.ts'

const DECIMAL = /^[+ -]?[0-9]+$/

/**
 * Turns a query's texts into the numbers that its schema has there, as far as they are integers: in a query they can
 * arrive as nothing else, and the validator coerces nothing.
 */
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

ajv.addSchema(components)

async function validation(app: FastifyInstance): Promise<void> {
  for (const component of components) app.addSchema(component)
  app.setValidatorCompiler<ObjectSchema>(({ schema, httpPart }) => {
    // Only described: a route with headers of its own looks at them itself.
    if (httpPart === 'headers') return () => true
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
