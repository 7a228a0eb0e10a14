import { type Static, type TSchema, Type } from '@sinclair/typebox'

/** What a response says of its schema in this place. */
interface AnswerOptions {
  description?: string
  examples?: unknown[]
  /** Schemas of headers that this response alone may have. */
  headers?: Record<string, TSchema>
}

/** References a named schema, which is then one component of the OpenAPI document and one type of a generated client. */
export function ref<Schema extends TSchema>({ $id }: Schema, options: AnswerOptions = {}) {
  return Type.Unsafe<Static<Schema>>({ ...options, $ref: `${$id}#` })
}

/** A response with a named schema as its body; description and examples are the schema's own unless given. */
export function answer<Schema extends TSchema>(schema: Schema, options: AnswerOptions = {}) {
  const { description, examples } = schema
  return ref(schema, { ...(description && { description }), examples, ...options })
}
