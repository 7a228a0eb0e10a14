import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stripVTControlCharacters } from 'node:util'
import type { Test } from 'tap'
import { folderOf } from '../service.ts'

/** Path of the command line's entry. */
export const ENTRY = new URL('../../bin/lyftr-webhook.js', import.meta.url).pathname

/** Runs a command on a pseudo-terminal, by script(1) of util-linux. */
export function startOnTerminal(t: Test, command: string, environment: Record<string, string>) {
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: folderOf(t),
    env: { PATH: process.env.PATH, TERM: 'xterm', HOST: '127.0.0.1', ...environment },
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += stripVTControlCharacters(more).replaceAll('\r', '')
  })
  const ended = once(child, 'close').then(([code]) => code)
  t.teardown(async () => {
    child.kill()
    await ended
  })
  return {
    /** Waits for a match, and discards the text up to its end. */
    async shown(pattern: RegExp): Promise<string[]> {
      for (;;) {
        const match = pattern.exec(text)
        if (match) {
          text = text.slice(match.index + match[0].length)
          return [...match]
        }
        if (child.stdout.readableEnded) throw new Error(`${pattern} is not in ${text}`)
        await Promise.race([once(child.stdout, 'data'), once(child.stdout, 'end')])
      }
    },
    interrupt: () => child.stdin.write('\x03'),
    ended,
  }
}
