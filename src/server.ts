import { setTimeout as delay } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { type App, buildApp } from './app.ts'
import { type Config, ConfigError } from './config.ts'
import type { LogOutput } from './log-output.ts'

/** Signals that end the service; a terminal, npm or an orchestrator may send them more than once. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const

/** How long the end may take after the listener is closed, in milliseconds; then the process ends regardless. */
const CLOSE_WITHIN_MS = 9500

/** How long a reader of the log may take for the last lines, in milliseconds. */
const FLUSH_WITHIN_MS = 500

async function listen(app: App, { host, port }: Config): Promise<void> {
  try {
    await app.listen({ host, port, listenTextResolver: (address) => `listening on ${address}` })
  } catch (error) {
    await app.close()
    if (!(error instanceof Error) || !('code' in error)) throw error
    const wrong = error.code === 'EADDRINUSE' || error.code === 'EACCES' ? 'PORT' : 'HOST'
    throw new ConfigError(`${wrong}: cannot listen on ${host}:${port}: ${error.message}`)
  }
}

/**
 * The process: serves until SIGTERM or SIGINT, then ends with status 0 once everything is answered and on disk. While
 * it starts nothing is under way, and it ends at once. Further signals change nothing.
 * @param logTo where the log goes, standard output unless given.
 * @returns the app, which listens.
 */
export async function serve(config: Config, logTo?: LogOutput): Promise<App> {
  let app: App | undefined
  let stopping = false
  // It would exit at a second signal.
  const { close } = closeWithGrace(
    { delay: config.shutdownDelayMs + CLOSE_WITHIN_MS, logger: false, skip: [...STOP_SIGNALS] },
    async ({ err }) => {
      stopping = true
      if (!app) return
      if (err) app.log.error({ cause: err }, 'an error that nothing caught ends the service')
      app.shutdown.draining = true
      if (!err) await delay(config.shutdownDelayMs)
      await app.close()
      app.log.info('stopped')
      await Promise.race([app.flushLog(), delay(FLUSH_WITHIN_MS)])
    },
  )
  for (const signal of STOP_SIGNALS) {
    process.on(signal, () => {
      app?.log.info(`${signal}: ${stopping ? 'already stopping' : 'stopping'}`)
      if (!stopping) close()
    })
  }
  // A limit on the size of files makes a write fail, which is answered like a full disk, rather than end the process.
  process.on('SIGXFSZ', () => undefined)
  app = await buildApp(config, logTo)
  await listen(app, config)
  return app
}
