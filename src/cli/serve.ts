import { loadConfig, sourceOf } from '../config.ts'
import { serve } from '../server.ts'
import type { DevelopmentOption } from './database.ts'
import { prettyOutput, welcome } from './terminal.ts'

/** Runs the service; for development on a terminal, with a log and a welcome to read. @throws ConfigError */
export async function run({ dev = false }: DevelopmentOption): Promise<void> {
  const config = loadConfig({ development: dev })
  const forPeople = dev && process.stdout.isTTY
  const app = await serve(config, forPeople ? await prettyOutput() : undefined)
  if (!forPeople) return
  const [address] = app.addresses()
  const port = typeof address === 'object' ? address.port : config.port
  const secretSource = sourceOf('WEBHOOK_SECRET', { development: dev })
  process.stdout.write(welcome(config, port, secretSource))
}
