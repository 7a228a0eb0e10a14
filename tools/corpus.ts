import type { StoredMessage } from '../src/message/message.ts'
import { LongTail, Random } from './random.ts'
import { writeText } from './words.ts'

/** Version of the corpus, part of file names; raise it when the same seed generates other messages. */
export const CORPUS_VERSION = 1

const FIRST_INSTANT = Date.UTC(2020, 0, 1)
const LAST_INSTANT = Date.UTC(2026, 0, 1)

/** Maximum delay between `ts` and arrival: minutes for most messages, two weeks for one in a hundred. */
const USUAL_DELAY_MS = 5 * 60_000
const LATE_DELAY_MS = 14 * 86_400_000

/** Numbers of fractional digits in timestamps; repetition sets the weight. */
const FRACTION_DIGITS = [0, 0, 0, 0, 0, 0, 3, 3, 6, 9]

const COUNTRIES = ['+9198', '+4917', '+1415', '+7916', '+8613']

/** A prime: multiplication modulo it is a permutation of the numbers below it. */
const NUMBERS = 9_999_991

/** Returns the phone number of the sender with an activity rank, 0 for the busiest. */
export function senderOf(rank: number): string {
  const digits = String((rank * 7_368_787 + 1_234_567) % NUMBERS).padStart(7, '0')
  return `${COUNTRIES[rank % COUNTRIES.length]}${digits}`
}

/** Returns the number of senders in a corpus: one for 20 messages, at most 50,000. */
export function sendersOf(count: number): number {
  return Math.min(50_000, Math.max(1, Math.ceil(count / 20)))
}

function formatTimestamp(milliseconds: number, random: Random): string {
  const seconds = new Date(milliseconds).toISOString().slice(0, 19)
  const digits = FRACTION_DIGITS[random.below(FRACTION_DIGITS.length)] ?? 0
  return digits === 0
    ? `${seconds}Z`
    : `${seconds}.${String(random.below(10 ** digits)).padStart(digits, '0')}Z`
}

/**
 * Generates messages in order of arrival, the same ones for the same count and seed.
 * They span six years at an increasing rate. Senders have a long-tailed distribution; each writes at least once.
 */
export function* writeMessages(count: number, seed = 1): Generator<StoredMessage> {
  const random = new Random(seed)
  const senders = sendersOf(count)
  const tail = new LongTail(senders)
  const stride = Math.floor(count / senders)
  for (let number = 0; number < count; number++) {
    // Every `stride` messages, another sender writes its first message, so that every sender occurs.
    const isFirst = number % stride === 0 && number / stride < senders
    const arrived =
      FIRST_INSTANT + (LAST_INSTANT - FIRST_INSTANT) * ((number + random.fraction()) / count) ** 0.7
    const delay = random.fraction() < 0.01 ? LATE_DELAY_MS : USUAL_DELAY_MS
    yield {
      message_id: `wamid.${[0, 0, 0].map(() => random.bits().toString(36)).join('')}.${number.toString(36)}`,
      from_msisdn: senderOf(isFirst ? number / stride : tail.draw(random)),
      to_msisdn: `+1415555010${random.below(10)}`,
      ts: formatTimestamp(Math.max(FIRST_INSTANT, arrived - random.fraction() * delay), random),
      text: random.fraction() < 0.02 ? null : writeText(random),
      created_at: `${new Date(arrived).toISOString().slice(0, 19)}Z`,
    }
  }
}
