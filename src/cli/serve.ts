import { loadConfig, sourceOf } from '../config.ts'
import { serve } from '../server.ts'
import type { DevelopmentOption } from './database.ts'
import { prettyOutput, welcome } from './terminal.ts'

/**
 * Runs the service. With `--dev` on a terminal, prints a readable log and a welcome text.
 * @throws ConfigError
 */
export async function run({ dev = false }: DevelopmentOption): Promise<void> {
  const config = loadConfig({ development: dev })
  const isInteractive = dev && process.stdout.isTTY
  const app = await serve(config, isInteractive ? await prettyOutput() : undefined)
  if (!isInteractive) return
  const [address] = app.addresses()
  const port = typeof address === 'object' ? address.port : config.port
  const secretSource = sourceOf('WEBHOOK_SECRET', { development: dev })
  process.stdout.write(welcome(config, port, secretSource))
}
