import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { ConfigError, isSet, type Setting, type SettingValues } from './setting.ts'
import { SETTINGS } from './settings.ts'
import { type KnownSource, SOURCES } from './sources/all.ts'

export { ConfigError } from './setting.ts'
export type { DatabaseAddress } from './settings.ts'

/** Validated settings of the service; frozen. */
export type Config = SettingValues<typeof SETTINGS> & {
  /** The values of each source's settings, by its name. */
  readonly sources: {
    readonly [Each in KnownSource as Each['name']]: SettingValues<Each['settings']>
  }
}

/** All settings, those of the sources first. The README's table is generated from them. */
export const ALL_SETTINGS: readonly Setting[] = [
  ...SOURCES.flatMap(({ settings }) => Object.values(settings)),
  ...Object.values(SETTINGS),
]

/** A value of LOG_LEVEL. */
export type LogLevel = Config['logLevel']

/** Environment variables by name. */
type Environment = Readonly<Record<string, string | undefined>>

/** Values for development, if neither the environment nor `.env` sets them. */
const DEVELOPMENT: Environment = {
  WEBHOOK_SECRET: 'testsecret',
  DATABASE_URL: 'sqlite:///data/app.db',
}

/** Returns the content of a secret's file without the newline at its end. @throws ConfigError */
function readSecretFile(variable: string, path: string): string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path))
  } catch (error) {
    throw new ConfigError(`${variable}: ${error instanceof Error ? error.message : error}`)
  }
  const value = text.replace(/\r?\n$/, '')
  if (!isSet(value)) throw new ConfigError(`${variable}: expected a value in ${path}, found none`)
  return value
}

/** Returns the text of a setting, from its variable or its `…_FILE`. @throws ConfigError */
function textOf({ name, secret }: Setting, environment: Environment): string | undefined {
  const value = environment[name]
  const path = secret ? environment[`${name}_FILE`] : undefined
  if (!isSet(path)) return value
  if (isSet(value)) throw new ConfigError(`${name}: expected ${name} or ${name}_FILE, found both`)
  return readSecretFile(`${name}_FILE`, path)
}

/** Returns the value of a setting. @throws ConfigError */
function readSetting(setting: Setting, environment: Environment): unknown {
  const { name, requires, secret, expected } = setting
  const text = textOf(setting, environment)
  if (
    requires &&
    isSet(text) &&
    !isSet(environment[requires]) &&
    !isSet(environment[`${requires}_FILE`])
  ) {
    throw new ConfigError(`${name}: expected ${requires} to be set, too`)
  }
  const value = text ?? setting.default
  return setting.parse(value, (shown = secret ? undefined : value) => {
    const found = shown === undefined ? '' : `, found ${JSON.stringify(shown)}`
    throw new ConfigError(`${name}: expected ${expected}${found}`)
  })
}

/** Returns the configuration of an environment. @throws ConfigError with the problems of all settings. */
export function parseConfig(environment: Environment): Config {
  const problems: string[] = []
  const valuesOf = (settings: Record<string, Setting>) => {
    const entries = Object.entries(settings).map(([field, setting]) => {
      try {
        return [field, readSetting(setting, environment)]
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        problems.push(...error.problems)
        return []
      }
    })
    return Object.freeze(Object.fromEntries(entries))
  }
  const sources = Object.freeze(
    Object.fromEntries(SOURCES.map(({ name, settings }) => [name, valuesOf(settings)])),
  )
  const config = { ...valuesOf(SETTINGS), sources }
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

/** Source of a setting's value. */
export type SettingSource = 'the environment' | '.env' | 'the development default' | 'the default'

/** Options for reading the settings of this process. */
interface LoadOptions {
  /** Whether settings that are not set have their development defaults. */
  development: boolean
}

/** Returns the sources of settings in order of precedence. @throws ConfigError */
function readSources({ development }: LoadOptions): [SettingSource, Environment][] {
  return [
    ['the environment', process.env],
    ['.env', readDotEnv()],
    ['the development default', development ? DEVELOPMENT : {}],
  ]
}

/** Returns the configuration of this process, from all sources. @throws ConfigError */
export function loadConfig(options: LoadOptions): Config {
  const environments = readSources(options).map(([, environment]) => environment)
  return parseConfig(environments.reduceRight((below, above) => mergeEnv(above, below)))
}

/** Returns the source that `loadConfig` takes a setting from. @throws ConfigError */
export function sourceOf(name: string, options: LoadOptions): SettingSource {
  const [source] =
    readSources(options).find(
      ([, environment]) => environment[name] !== undefined || isSet(environment[`${name}_FILE`]),
    ) ?? []
  return source ?? 'the default'
}

/**
 * Merges two environments.
 * A setting in `above` replaces the same one in `below`, whether set by its variable or by its `…_FILE`.
 */
function mergeEnv(above: Environment, below: Environment): Environment {
  const settings = Object.entries(below).filter(([name]) => {
    const other = name.endsWith('_FILE') ? name.slice(0, -'_FILE'.length) : `${name}_FILE`
    return !isSet(above[other])
  })
  return { ...Object.fromEntries(settings), ...above }
}

function readDotEnv(): Environment {
  try {
    // TextDecoder drops a byte order mark, which would otherwise become part of the first name.
    return parseEnv(new TextDecoder().decode(readFileSync('.env')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new ConfigError(`.env: ${error instanceof Error ? error.message : error}`)
  }
}
