import { DEFAULT_DETAILS } from '../message/message.ts'
import { integer } from '../setting.ts'
import type { DevelopmentOption } from './database.ts'
import { parseOrigin } from './origin.ts'
import { SAMPLE, SOURCE_NAMES } from './sample.ts'

/** Options of the command, as given. */
export interface SendOptions extends DevelopmentOption {
  source?: string
  url?: string
  count?: string
  rate?: string
  from?: string
  to?: string
  text?: string
  id?: string
}

/** Validated options. */
export interface SendPlan {
  source: string
  /** Origin of the service; undefined for the one of the configuration. */
  origin: string | undefined
  count: number
  /** Maximum messages per second; undefined for no limit. */
  rate: number | undefined
  from: string
  to: string
  text: string
  id: string | undefined
}

/** Returns the error of an option. */
function invalid(name: string, expected: string, value: string): Error {
  return new Error(`--${name}: expected ${expected}, found ${JSON.stringify(value)}`)
}

function parseCount(text: string): number {
  const { expected, parse } = integer(1, 10_000_000)
  return parse(text, () => {
    throw invalid('count', expected, text)
  })
}

function parseRate(text: string): number {
  const rate = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (rate >= 0.1 && rate <= 100_000) return rate
  throw invalid('rate', 'messages per second from 0.1 to 100000', text)
}

function parseMsisdn(name: string, text: string): string {
  if (!/^\+\d{1,32}$/.test(text)) throw invalid(name, "'+' followed by 1 to 32 digits", text)
  return text
}

/** Returns the validated options. @throws Error that names the first invalid option. */
export function parseSendOptions(options: SendOptions): SendPlan {
  const { source = DEFAULT_DETAILS.source, url, count = '1', rate, id } = options
  if (!SOURCE_NAMES.includes(source)) throw invalid('source', SOURCE_NAMES.join(' or '), source)
  return {
    source,
    origin: url === undefined ? undefined : parseOrigin(url),
    count: parseCount(count),
    rate: rate === undefined ? undefined : parseRate(rate),
    from: parseMsisdn('from', options.from ?? SAMPLE.from),
    to: parseMsisdn('to', options.to ?? SAMPLE.to),
    text: options.text ?? SAMPLE.text,
    id,
  }
}
