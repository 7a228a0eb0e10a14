import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'

/** Folder of the files that are served to the browser. */
const FOLDER = new URL('../dashboard/', import.meta.url)

/** Modules of packages, by the specifier that the browser imports; served as they are published. */
const PACKAGES = {
  preact: 'preact',
  'preact/hooks': 'preact/hooks',
  htm: 'htm',
  'htm/preact': 'htm/preact',
  '@preact/signals': '@preact/signals',
  '@preact/signals-core': '@preact/signals-core',
  // `uplot` itself resolves to its CommonJS module.
  uplot: 'uplot/dist/uPlot.esm.js',
}

/** Style sheets of packages, by the name under which they are served. */
const PACKAGE_STYLES = { 'uplot.css': 'uplot/dist/uPlot.min.css' }

const MEDIA_TYPES: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Modules that are not preloaded, because only the chart imports them. */
const LOADED_LATER = ['chart.js', 'uplot.js']

const sha256 = (content: string | Buffer) => createHash('sha256').update(content)

/** Returns the file name of a package's module. */
const moduleName = (specifier: string) => `${specifier.replace(/^@/, '').replaceAll('/', '-')}.js`

/** Returns the content of every file except the page, by name. */
function readAssets(): Map<string, Buffer> {
  const assets = new Map<string, Buffer>()
  for (const name of readdirSync(FOLDER)) {
    if (extname(name) in MEDIA_TYPES) assets.set(name, readFileSync(new URL(name, FOLDER)))
  }
  for (const [specifier, file] of Object.entries(PACKAGES)) {
    assets.set(moduleName(specifier), readFileSync(new URL(import.meta.resolve(file))))
  }
  for (const [name, specifier] of Object.entries(PACKAGE_STYLES)) {
    assets.set(name, readFileSync(new URL(import.meta.resolve(specifier))))
  }
  return assets
}

/** Returns the page with the URLs of its files, and a policy that allows only these and the API. */
function buildPage(names: Iterable<string>, base: string): { html: string; policy: string } {
  const urls = Object.keys(PACKAGES).map((specifier) => [
    specifier,
    `${base}/${moduleName(specifier)}`,
  ])
  const importMap = JSON.stringify({ imports: Object.fromEntries(urls) })
  const head = [...names]
    .filter((name) => name.endsWith('.js') && !LOADED_LATER.includes(name))
    .map((name) => `<link rel="modulepreload" href="${base}/${name}">`)
  head.unshift(`<script type="importmap">${importMap}</script>`)
  const html = readFileSync(new URL('index.html', FOLDER), 'utf8')
    .replaceAll('/dashboard/assets', base)
    .replace('<!-- modules -->', head.join('\n    '))
  const policy = [
    "default-src 'none'",
    `script-src 'self' 'sha256-${sha256(importMap).digest('base64')}'`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
  return { html, policy }
}

/**
 * Serves the dashboard: one page for all of its URLs, and the files that it loads.
 * The URL of a file contains a hash of all files, so that browsers may cache it permanently.
 */
const dashboard: FastifyPluginAsyncTypebox = async (app) => {
  const assets = readAssets()
  const all = sha256('')
  for (const [name, content] of assets) all.update(name).update(content)
  const version = all.digest('hex').slice(0, 16)
  const compressed = new Map([...assets].map(([name, content]) => [name, gzipSync(content)]))
  const { html, policy } = buildPage(assets.keys(), `/dashboard/assets/${version}`)
  const etag = `"${sha256(html).digest('hex').slice(0, 16)}"`

  for (const url of ['', '/messages', '/messages/:message_id', '/rejected', '/rejected/:id']) {
    app.get(`/dashboard${url}`, { schema: { hide: true } }, async ({ headers }, reply) => {
      reply.headers({ 'cache-control': 'no-cache', 'content-security-policy': policy, etag })
      // Also matches a weak ETag (`W/"…"`), to which a proxy that compresses the page changes it.
      if (headers['if-none-match']?.includes(etag)) return reply.code(304).send()
      return reply.type('text/html; charset=utf-8').send(html)
    })
  }

  app.get(
    '/dashboard/assets/:version/:name',
    {
      schema: {
        hide: true,
        params: Type.Object({ version: Type.String(), name: Type.String() }),
      },
    },
    async ({ params, headers }, reply) => {
      const { name } = params
      const content = params.version === version ? assets.get(name) : undefined
      if (!content) throw app.httpErrors.notFound('no file has this name and version')
      reply.headers({
        'cache-control': 'public, max-age=31536000, immutable',
        vary: 'accept-encoding',
      })
      reply.type(MEDIA_TYPES[extname(name)] ?? '')
      if (!/\bgzip\b/.test(String(headers['accept-encoding']))) return content
      reply.header('content-encoding', 'gzip')
      return compressed.get(name)
    },
  )
}

export default dashboard
