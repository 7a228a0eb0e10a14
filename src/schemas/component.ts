import { type Static, type TSchema, Type } from '@sinclair/typebox'

/** Annotations of a schema where it is referenced. */
interface ReferenceOptions {
  description?: string
  examples?: unknown[]
}

/** References a named schema: a component of the OpenAPI document, and a type of generated clients. */
export function ref<Schema extends TSchema>({ $id }: Schema, options: ReferenceOptions = {}) {
  return Type.Unsafe<Static<Schema>>({ ...options, $ref: `${$id}#` })
}

/**
 * Describes a response whose body has a named schema.
 * The description and the examples default to those of the schema.
 */
export function jsonResponse<Schema extends TSchema>(
  schema: Schema,
  options: ReferenceOptions = {},
) {
  const { description, examples } = schema
  return ref(schema, { ...(description && { description }), examples, ...options })
}
