import { parseArgs } from 'node:util'
import { loadConfig } from '../config.ts'
import { serve } from '../server.ts'

export const usage = '[--dev]'
export const summary = 'Takes and serves messages until SIGTERM.'
export const details =
  '  --dev   for development: the secret testsecret and the file ./data/app.db unless set otherwise'

/** Runs the service. @throws ConfigError when it cannot start. */
export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { dev: { type: 'boolean', default: false } } })
  await serve(loadConfig({ development: values.dev }))
  return 0
}
