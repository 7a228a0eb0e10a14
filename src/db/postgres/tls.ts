import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { StoreOpenError } from '../message-store.ts'

/** Parameters of a connection URL that concern TLS. */
const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'uselibpqcompat'] as const

/** Value of `sslrootcert` that selects the public certificate authorities. */
const SYSTEM = 'system'

/** Returns the content of the file that a parameter names. @throws StoreOpenError */
function readCertificate(parameter: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? error.code : error
    throw new StoreOpenError(`cannot read the file of ${parameter}, ${path}: ${reason}`)
  }
}

/**
 * Returns the options for the certificate checks of a mode.
 * @throws StoreOpenError if the mode is not supported.
 */
function checksOf(mode: string, rootCertificate: string | undefined): ConnectionOptions {
  const anyHost: ConnectionOptions = { checkServerIdentity: () => undefined }
  switch (mode) {
    case 'require':
      return rootCertificate === undefined ? { rejectUnauthorized: false } : anyHost
    case 'verify-ca':
      if (rootCertificate !== undefined && rootCertificate !== SYSTEM) return anyHost
      throw new StoreOpenError('sslmode=verify-ca needs the certificate of a CA in sslrootcert')
    case 'verify-full':
      return {}
    case 'allow':
    case 'prefer':
      throw new StoreOpenError(
        `sslmode=${mode} may connect without TLS and is not supported; use disable, require, verify-ca or verify-full`,
      )
    default:
      throw new StoreOpenError(
        `expected sslmode to be disable, require, verify-ca or verify-full, found ${mode}`,
      )
  }
}

/**
 * Splits a connection URL into TLS options and the URL without its TLS parameters.
 * The parameters have the meanings of libpq; the driver would treat `require` as `verify-full` and warn. A certificate
 * without `sslmode` implies `verify-full`.
 * @returns no `ssl` if the URL has no TLS parameters.
 * @throws StoreOpenError if the mode is not supported or a file cannot be read.
 */
export function readTls(url: string): { url: string; ssl?: ConnectionOptions | false } {
  const [base = '', ...query] = url.split('?')
  const search = new URLSearchParams(query.join('?'))
  const given: Partial<Record<(typeof PARAMETERS)[number], string>> = {}
  for (const parameter of PARAMETERS) {
    const value = search.get(parameter)
    if (value) given[parameter] = value
    search.delete(parameter)
  }
  const rest = search.size === 0 ? base : `${base}?${search}`
  const { sslrootcert, sslcert, sslkey } = given
  const implied = sslrootcert ?? sslcert ?? sslkey
  const mode = given.sslmode ?? (implied === undefined ? undefined : 'verify-full')
  if (mode === undefined) return { url: rest }
  if (mode === 'disable') return { url: rest, ssl: false }
  const files = {
    ca: readCertificate('sslrootcert', sslrootcert === SYSTEM ? undefined : sslrootcert),
    cert: readCertificate('sslcert', sslcert),
    key: readCertificate('sslkey', sslkey),
  }
  return { url: rest, ssl: { ...checksOf(mode, sslrootcert), ...files } }
}
