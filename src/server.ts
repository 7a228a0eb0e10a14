import { setTimeout as delay } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { type App, buildApp } from './app.ts'
import { type Config, ConfigError } from './config.ts'
import type { LogOutput } from './log-output.ts'

/** Signals that stop the service. A terminal, npm or an orchestrator may send several of them. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const

/** Milliseconds for closing after the shutdown delay; then the process exits regardless. */
const CLOSE_TIMEOUT_MS = 9500

/** Milliseconds for writing the last log lines; the reader of the log may have stalled. */
const FLUSH_TIMEOUT_MS = 500

/**
 * Maximum connections that wait to be accepted; the kernel limits it to `net.core.somaxconn`, by default 4096.
 * Node's default of 511 overflows when thousands of clients connect at once: the kernel then resets connections whose
 * clients have already sent a request.
 */
const LISTEN_BACKLOG = 4096

/** Starts listening; closes the app if that fails. @throws ConfigError if the address is unusable. */
async function listen(app: App, { host, port }: Config): Promise<void> {
  try {
    await app.listen({
      host,
      port,
      backlog: LISTEN_BACKLOG,
      listenTextResolver: (address) => `listening on ${address}`,
    })
  } catch (error) {
    await app.close()
    if (!(error instanceof Error) || !('code' in error)) throw error
    const setting = error.code === 'EADDRINUSE' || error.code === 'EACCES' ? 'PORT' : 'HOST'
    throw new ConfigError(`${setting}: cannot listen on ${host}:${port}: ${error.message}`)
  }
}

/**
 * Runs the service until a stop signal.
 * After the signal, requests in flight are answered and the process exits with status 0. During start-up a signal ends
 * the process at once, as there are no requests yet. Further signals are only logged.
 * @param logOutput destination of the log, by default standard output.
 * @returns the app, listening.
 * @throws ConfigError if the database cannot be opened or the address cannot be used.
 */
export async function serve(config: Config, logOutput?: LogOutput): Promise<App> {
  let app: App | undefined
  let stopping = false
  // close-with-grace exits at a second signal, so signals are handled here.
  const { close } = closeWithGrace(
    { delay: config.shutdownDelayMs + CLOSE_TIMEOUT_MS, logger: false, skip: [...STOP_SIGNALS] },
    async ({ err }) => {
      stopping = true
      if (!app) return
      if (err) app.log.error({ cause: err }, 'uncaught error; stopping')
      app.shutdown.drain()
      if (!err) await delay(config.shutdownDelayMs)
      await app.close()
      app.log.info('stopped')
      await Promise.race([app.flushLog(), delay(FLUSH_TIMEOUT_MS)])
    },
  )
  for (const signal of STOP_SIGNALS) {
    process.on(signal, () => {
      app?.log.info(`${signal}: ${stopping ? 'already stopping' : 'stopping'}`)
      if (!stopping) close()
    })
  }
  // Without a listener, a write beyond the file size limit (RLIMIT_FSIZE) ends the process. With one, it fails with
  // EFBIG, which is handled like a full disk.
  process.on('SIGXFSZ', () => undefined)
  app = await buildApp(config, logOutput)
  await listen(app, config)
  return app
}
