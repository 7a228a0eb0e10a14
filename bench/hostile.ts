/**
 * Measures the processor time to verify, parse and validate valid bodies and hostile ones.
 * The hostile bodies are the worst ones found. Exits with status 1 if, at the maximum body size, one of them costs
 * significantly more than the most expensive valid body.
 */
import { createHmac } from 'node:crypto'
import { readJson } from '../src/schemas/json.ts'
import { toInputProblems } from '../src/schemas/validation-errors.ts'
import { ajv } from '../src/schemas/validator.ts'
import { InboundMessage } from '../src/schemas/webhook.ts'
import { createVerifier } from '../src/sources/hmac.ts'
import { median } from './figures.ts'

const SIZES = [1024, 8 * 1024, 64 * 1024]
const SECRET = 'testsecret'
const ROUNDS = 15
const RUNS = 50

/** Ratio between results of different runs on a busy machine. */
const NOISE = 1.2

const FIELDS =
  '"message_id":"m1","from":"+919876543210","to":"+14155550100","ts":"2025-01-15T10:00:00Z"'
const EMOJI = '\\ud83d\\udc4d'

type Body = string | Buffer

/** Repeats a unit, which may depend on its index, between a head and a tail, up to `size` bytes. */
function fill(size: number, head: string, unit: string | ((n: number) => string), tail: string) {
  const parts: string[] = []
  let left = size - Buffer.byteLength(head) - Buffer.byteLength(tail)
  for (let n = 0; ; n++) {
    const part = typeof unit === 'string' ? unit : unit(n)
    left -= Buffer.byteLength(part)
    if (left < 0) return head + parts.join('') + tail
    parts.push(part)
  }
}

function validBodies(size: number): Record<string, Body> {
  const text = fill(Math.min(size, 4096 * EMOJI.length), `{${FIELDS},"text":"`, EMOJI, '"}')
  return {
    'a short text, and spaces': fill(size, `{${FIELDS},"text":"Hello"}`, ' ', ''),
    'the longest text, escaped, and spaces': fill(size, text, ' ', ''),
    'an unknown field of ASCII': fill(size, `{${FIELDS},"x":"`, 'x', '"}'),
    'an unknown field of Chinese': fill(size, `{${FIELDS},"x":"`, '好', '"}'),
  }
}

function hostileBodies(size: number): Record<string, Body> {
  const list = (unit: string | ((n: number) => string)) =>
    fill(size, `{${FIELDS},"x":[`, unit, '0]}')
  const fields = (unit: string | ((n: number) => string)) => fill(size, `{${FIELDS}`, unit, '}')
  const text = (unit: string, end = '') => fill(size, `{${FIELDS},"text":"`, unit, `${end}"}`)
  const depth = Math.trunc((size - 100) / 8)
  return {
    'objects with distinct names': list((n) => `{"${n.toString(36)}":1},`),
    'objects with one name': list('{"a":1},'),
    'fields with distinct names': fields((n) => `,"k${n.toString(36)}":0`),
    'fields of escaped names': fields((n) => `,"\\u006b${n.toString(36)}":0`),
    'fields of numbers': fields((n) => `,"${4294967294 - n * 1000}":0`),
    'one field, repeated': fields(',"message_id":""'),
    '__proto__, repeated': fields(',"__proto__":{}'),
    'nested arrays': `{${FIELDS},"x":${'['.repeat(depth)}${']'.repeat(depth)}}`,
    'nested arrays, never closed': '['.repeat(size),
    'nested objects': `{${FIELDS},"x":${'{"":'.repeat(depth)}0${'}'.repeat(depth)}}`,
    'empty arrays': list('[],'),
    'short strings': list((n) => `"${n.toString(36)}",`),
    'a long integer': fill(size, `{${FIELDS},"x":`, '1', '}'),
    'a long fraction': fill(size, `{${FIELDS},"x":0.`, '7', '}'),
    'numbers next to the smallest normal one': list('2.2250738585072011e-308,'),
    'numbers half-way between two doubles': list(`9007199254740993.${'0'.repeat(400)}1,`),
    'a long text': text('x'),
    'a long text of emoji': text('👍'),
    'a long text of escapes': text('\\u4e00'),
    'a long text of short escapes': text('\\n'),
    'a long text ending with an unpaired surrogate': text(EMOJI, '\\ud83d'),
    'a long id': fill(size, '{"message_id":"', 'x', '"}'),
    'a long phone number': fill(size, '{"from":"+', '1', '"}'),
    'a long timestamp': fill(size, '{"ts":"2025-01-15T10:00:00.', '1', '"}'),
    'the wrong type everywhere': fill(
      size,
      '{"from":{},"to":[],"ts":0,"message_id":["',
      'x',
      '"]}',
    ),
    spaces: ' '.repeat(size),
    quotes: '"'.repeat(size),
    'control characters': '\u0001'.repeat(size),
    'invalid UTF-8 at the end': Buffer.concat([Buffer.from(text('好')), Buffer.from([0xff])]),
  }
}

const verify = createVerifier(SECRET)
const validate = ajv.compile(InboundMessage)

function handle(bytes: Uint8Array, signature: string): void {
  if (!verify(bytes, signature)) throw new Error('the signature must be right')
  const read = readJson(bytes)
  if ('value' in read && !validate(read.value)) toInputProblems(validate.errors ?? [], 'body')
}

/** Returns the processor time per body in µs, including V8's garbage collection threads. */
function costOf(body: Body): number {
  const bytes = Buffer.from(body)
  const signature = createHmac('sha256', SECRET).update(bytes).digest('hex')
  const before = process.cpuUsage()
  for (let run = 0; run < RUNS; run++) handle(bytes, signature)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / RUNS
}

interface Cost {
  name: string
  cost: number
  isValid: boolean
}

/**
 * Returns the median cost of each body, highest first.
 * Bodies take turns, so that other load on the machine affects all equally.
 */
function costsOf(size: number): Cost[] {
  const valid = validBodies(size)
  const all = Object.entries({ ...valid, ...hostileBodies(size) }).map(([name, body]) => ({
    name,
    body,
    costs: [] as number[],
  }))
  for (let round = -1; round < ROUNDS; round++) {
    for (const { body, costs } of all) {
      const cost = costOf(body)
      if (round >= 0) costs.push(cost)
    }
  }
  return all
    .map(({ name, costs }) => ({ name, cost: median(costs), isValid: name in valid }))
    .sort((a, b) => b.cost - a.cost)
}

let ratio = 0
for (const size of SIZES) {
  const costs = costsOf(size)
  process.stdout.write(`${size} bytes\n`)
  for (const { name, cost, isValid } of costs) {
    process.stdout.write(
      `${cost.toFixed(0).padStart(6)} µs  ${isValid ? 'valid' : '     '}  ${name}\n`,
    )
  }
  const highest = (valid: boolean) => costs.find(({ isValid }) => isValid === valid)?.cost ?? 0
  ratio = highest(false) / highest(true)
  process.stdout.write(
    `the worst hostile body costs ${ratio.toFixed(2)} times the worst valid one\n\n`,
  )
}
process.exitCode = ratio > NOISE ? 1 : 0
