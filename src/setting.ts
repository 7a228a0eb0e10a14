/** Settings that the service cannot start with. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** One line per setting, which begins with its name. */
  readonly problems: readonly string[]

  constructor(problems: string | readonly string[], options?: ErrorOptions) {
    const all = [problems].flat()
    super(all.join('\n'), options)
    this.problems = all
  }
}

/**
 * Throws the error of a setting.
 * @param shown the part of the value to quote; by default the whole value, or nothing of a secret.
 */
export type Reject = (shown?: string) => never

/** Declaration of a setting. */
export interface Setting<Value = unknown> {
  /** Name of the variable. */
  name: string
  /** Text that is used if the variable is not set. */
  default: string
  /** Accepted values, for the error message. */
  expected: string
  /** Row of the README's table, in Markdown. */
  description: string
  /** Variable without which this one must not be set. */
  requires?: string
  /** Whether the variable `…_FILE` can name a file with the value, and error messages omit the value. */
  secret?: boolean
  /** Returns the value of a text, or calls `reject`. @throws ConfigError */
  parse: (text: string, reject: Reject) => Value
}

/** The values of settings, by name of the field. */
export type SettingValues<Settings extends Record<string, Setting>> = {
  readonly [Field in keyof Settings]: ReturnType<Settings[Field]['parse']>
}

/** Returns whether a variable is set and not blank. */
export function isSet(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== ''
}

/** Returns the properties that integer settings share: the accepted range and the parser. */
export const integer = (
  min: number,
  max: number,
  { prefix = 'a number from', suffix = '' } = {},
) => ({
  expected: `${prefix} ${min} to ${max}${suffix}`,
  parse(text: string, reject: Reject): number {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max ? value : reject()
  },
})

/** Properties that the settings of switches share. */
export const SWITCH = {
  expected: 'true or false',
  parse: (text: string, reject: Reject) => text === 'true' || (text !== 'false' && reject()),
}

/** Returns the parts of a list that is separated by commas. */
export function parseList(text: string): readonly string[] {
  return isSet(text) ? text.split(',').map((part) => part.trim()) : []
}

/** Properties that the settings of tokens share. */
export const TOKENS = {
  default: '',
  expected: 'tokens of visible ASCII characters, separated by commas',
  secret: true,
  parse: (text: string, reject: Reject) =>
    /^ *([!-+\--~]+( *, *[!-+\--~]+)*)? *$/.test(text) ? parseList(text) : reject(),
}

/** Properties that the settings of secrets share. */
export const SECRET = {
  default: '',
  expected: 'any text',
  secret: true,
  parse: (text: string) => (isSet(text) ? text : undefined),
}
