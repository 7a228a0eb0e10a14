import type { TObject, TSchema } from '@sinclair/typebox'
import fc from 'fast-check'

/** Timestamps, most of them valid. */
const instant = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .date({
        noInvalidDate: true,
        min: new Date('0000-01-01T00:00:00Z'),
        max: new Date('9999-12-31T23:59:59Z'),
      })
      .map((date) => date.toISOString()),
  },
  {
    weight: 1,
    arbitrary: fc.stringMatching(
      /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,11})?(Z|[+-]\d\d:\d\d)$/,
    ),
  },
)

/** Texts of any characters, most of them short. */
function text(minLength = 0, maxLength = 40): fc.Arbitrary<string> {
  const bounds = { minLength, maxLength: Math.max(minLength, Math.min(maxLength, 40)) }
  return fc.oneof(
    { weight: 6, arbitrary: fc.string({ unit: 'grapheme', ...bounds }) },
    { weight: 3, arbitrary: fc.string({ unit: 'binary', ...bounds }) },
    {
      weight: 1,
      arbitrary: fc.string({ unit: 'grapheme-ascii', minLength, maxLength: maxLength + 2 }),
    },
  )
}

/** Values that a schema allows, and some that exceed its bounds. */
export function allowedBy(schema: TSchema): fc.Arbitrary<unknown> {
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum)
  if (String(schema.format).endsWith('instant')) return instant
  if (typeof schema.pattern === 'string') return fc.stringMatching(new RegExp(schema.pattern))
  if (schema.type === 'integer')
    return fc.oneof(fc.integer({ min: -2, max: 120 }), fc.maxSafeInteger())
  if (schema.type === 'object') return objectOf(schema as TObject)
  const string = text(schema.minLength, schema.maxLength)
  return [schema.type].flat().includes('null') ? fc.oneof(string, fc.constant(null)) : string
}

/** Objects with the properties of a schema; optional ones are sometimes absent. */
function objectOf(schema: TObject): fc.Arbitrary<Record<string, unknown>> {
  const values = Object.entries(schema.properties).map(([name, one]) => [name, allowedBy(one)])
  return fc.record(Object.fromEntries(values), { requiredKeys: schema.required ?? [] })
}

/** Objects that deviate from a schema: invalid values, additional or missing fields. */
export function deviatingFrom(schema: TObject): fc.Arbitrary<Record<string, unknown>> {
  const names = Object.keys(schema.properties)
  return fc
    .tuple(
      objectOf(schema),
      fc.dictionary(
        fc.oneof(fc.constantFrom(...names, '__proto__', 'constructor'), fc.string()),
        fc.oneof(fc.jsonValue(), text()),
        { maxKeys: 3 },
      ),
      fc.option(fc.constantFrom(...names), { freq: 2 }),
    )
    .map(([object, others, dropped]) => {
      const deviating: Record<string, unknown> = { ...object, ...others }
      if (dropped !== null) delete deviating[dropped]
      return deviating
    })
}
