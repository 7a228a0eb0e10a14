import { timestamp } from '../timestamp.ts'

/**
 * Writes the audit line of a command to standard error, in the format of the service's log.
 * @param details numbers only: nothing of what the command read or erased.
 */
export function writeAudit(audit: string, details: Readonly<Record<string, number>>): void {
  const line = { level: 'INFO', ts: timestamp(), audit, ...details }
  process.stderr.write(`${JSON.stringify(line)}\n`)
}
