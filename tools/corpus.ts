import type { StoredMessage } from '../src/message/message.ts'
import { LongTail, Random } from './random.ts'
import { writeText } from './words.ts'

/**
 * Version of the generator.
 * It is part of the names of cached files; raise it when the same seed yields other messages.
 */
export const CORPUS_VERSION = 1

const FIRST_INSTANT = Date.UTC(2020, 0, 1)
const LAST_INSTANT = Date.UTC(2026, 0, 1)

/** Maximum delay of the arrival of a message: usual, and for one message in a hundred. */
const USUAL_DELAY_MS = 5 * 60_000
const LATE_DELAY_MS = 14 * 86_400_000

/** Numbers of fraction digits, each as frequent as in this list. */
const FRACTION_DIGITS = [0, 0, 0, 0, 0, 0, 3, 3, 6, 9]

const COUNTRIES = ['+9198', '+4917', '+1415', '+7916', '+8613']

/** Number of subscriber numbers; a prime, so that multiplication by a smaller number permutes them. */
const NUMBERS = 9_999_991

/** Returns the phone number of the sender with this rank of activity, in scrambled order. */
export function senderOf(rank: number): string {
  const digits = String((rank * 7_368_787 + 1_234_567) % NUMBERS).padStart(7, '0')
  return `${COUNTRIES[rank % COUNTRIES.length]}${digits}`
}

/** Returns the number of senders of a corpus: one for each 20 messages, at most 50,000. */
export function sendersOf(count: number): number {
  return Math.min(50_000, Math.max(1, Math.ceil(count / 20)))
}

function writeInstant(milliseconds: number, random: Random): string {
  const seconds = new Date(milliseconds).toISOString().slice(0, 19)
  const digits = FRACTION_DIGITS[random.below(FRACTION_DIGITS.length)] ?? 0
  return digits === 0
    ? `${seconds}Z`
    : `${seconds}.${String(random.below(10 ** digits)).padStart(digits, '0')}Z`
}

/**
 * Generates messages in order of arrival, the same for the same seed.
 * They cover six years with growing traffic; the activity of senders has a long tail, and each sender has at least one
 * message.
 */
export function* writeMessages(count: number, seed = 1): Generator<StoredMessage> {
  const random = new Random(seed)
  const senders = sendersOf(count)
  const tail = new LongTail(senders)
  const stride = Math.floor(count / senders)
  for (let number = 0; number < count; number++) {
    const everyone = number % stride === 0 && number / stride < senders
    const arrived =
      FIRST_INSTANT + (LAST_INSTANT - FIRST_INSTANT) * ((number + random.fraction()) / count) ** 0.7
    const delay = random.fraction() < 0.01 ? LATE_DELAY_MS : USUAL_DELAY_MS
    yield {
      message_id: `wamid.${[0, 0, 0].map(() => random.bits().toString(36)).join('')}.${number.toString(36)}`,
      from_msisdn: senderOf(everyone ? number / stride : tail.draw(random)),
      to_msisdn: `+1415555010${random.below(10)}`,
      ts: writeInstant(Math.max(FIRST_INSTANT, arrived - random.fraction() * delay), random),
      text: random.fraction() < 0.02 ? null : writeText(random),
      created_at: `${new Date(arrived).toISOString().slice(0, 19)}Z`,
    }
  }
}
