import fc from 'fast-check'

/** Any JSON value. */
const anyJson = fc.jsonValue({ maxDepth: 2 })
/** A valid value, replaced by any JSON value in one case of ten. */
const orAnyJson = <Value>(valid: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 9, arbitrary: valid }, { weight: 1, arbitrary: anyJson })
/** Text of arbitrary code points, such as NUL. */
const unusualText = fc.string({ unit: 'binary', maxLength: 20 })

const anyMessage = fc.record(
  {
    id: orAnyJson(fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.uuid(), unusualText)),
    from: orAnyJson(fc.oneof(fc.constantFrom('1', '+2', '33'), unusualText)),
    from_user_id: orAnyJson(fc.constantFrom('US.1', 'DE.ENT.2')),
    timestamp: orAnyJson(
      fc.oneof(fc.constantFrom('1736935200', '0', '-1', '1e99', ''), fc.integer()),
    ),
    type: orAnyJson(
      fc.constantFrom('text', 'image', 'interactive', 'order', 'hologram', '__proto__'),
    ),
    text: orAnyJson(
      fc.record({ body: orAnyJson(fc.oneof(fc.string({ unit: 'grapheme' }), unusualText)) }),
    ),
    image: orAnyJson(fc.record({ caption: orAnyJson(unusualText) })),
    interactive: orAnyJson(
      fc.record({ button_reply: orAnyJson(fc.record({ title: orAnyJson(unusualText) })) }),
    ),
  },
  { requiredKeys: [] },
)
/** Bodies of Meta: valid ones, and ones in which any part is replaced. */
export const anyMetaBody = orAnyJson(
  fc.record({
    object: fc.constant('whatsapp_business_account'),
    entry: orAnyJson(
      fc.array(
        orAnyJson(
          fc.record({
            changes: orAnyJson(
              fc.array(
                orAnyJson(
                  fc.record({
                    field: orAnyJson(fc.constant('messages')),
                    value: orAnyJson(
                      fc.record(
                        {
                          metadata: orAnyJson(
                            fc.record({ display_phone_number: orAnyJson(unusualText) }),
                          ),
                          messages: orAnyJson(fc.array(orAnyJson(anyMessage), { maxLength: 4 })),
                          statuses: orAnyJson(fc.array(anyJson, { maxLength: 2 })),
                        },
                        { requiredKeys: [] },
                      ),
                    ),
                  }),
                ),
                { maxLength: 3 },
              ),
            ),
          }),
        ),
        { maxLength: 3 },
      ),
    ),
  }),
)
