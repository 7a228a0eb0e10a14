import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { freePort } from '../../tools/free-port.ts'
import { until } from '../../tools/until.ts'
import { folderOf } from '../service.ts'

/** A running reverse proxy with TLS. */
export interface RunningProxy {
  /** Ports of 127.0.0.1. */
  httpsPort: number
  httpPort: number
  /** The certificate, which is self-signed. */
  certificate: Buffer
  /** Returns what it has written to its access log, if it has one, and to standard error. */
  log(): string
}

/** Ports and files that replace those of the shipped configuration. */
interface Places {
  folder: string
  upstream: string
  httpsPort: number
  httpPort: number
}

/** A reverse proxy for which there is a configuration. */
interface Kind {
  name: string
  program: string
  /** The arguments that print its version. */
  version: string[]
  /** Writes its configuration. @returns the arguments that start it. */
  configure(places: Places): string[]
}

/** Returns the text of a file of `deploy`, with parts replaced. @throws Error if one is missing. */
function adapted(file: string, replacements: Record<string, string>): string {
  let content = readFileSync(new URL(`../../deploy/${file}`, import.meta.url), 'utf8')
  for (const [before, after] of Object.entries(replacements)) {
    if (!content.includes(before)) throw new Error(`${file}: ${before} is missing`)
    content = content.replaceAll(before, after)
  }
  return content
}

/** The folders in which nginx keeps temporary files, which it creates at its start. */
const NGINX_FOLDERS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

const nginx: Kind = {
  name: 'nginx',
  program: 'nginx',
  version: ['-v'],
  configure({ folder, upstream, httpsPort, httpPort }) {
    const site = adapted('nginx/lyftr-webhook.conf', {
      'server 127.0.0.1:8000;': `server ${upstream};`,
      '  listen 80;\n  listen [::]:80;\n': `  listen 127.0.0.1:${httpPort};\n`,
      '  listen 443 ssl;\n  listen [::]:443 ssl;\n': `  listen 127.0.0.1:${httpsPort} ssl;\n`,
      '/etc/letsencrypt/live/example.org/fullchain.pem': `${folder}/certificate.pem`,
      '/etc/letsencrypt/live/example.org/privkey.pem': `${folder}/key.pem`,
      '/var/log/nginx/lyftr-webhook.log': `${folder}/access.log`,
    })
    writeFileSync(`${folder}/site.conf`, site)
    const main = [
      // Workers of another user could not read the folder of the test.
      ...(process.getuid?.() === 0 ? ['user root;'] : []),
      `daemon off; pid ${folder}/nginx.pid; worker_processes 1;`,
      'events {}',
      'http {',
      ...NGINX_FOLDERS.map((name) => `${name}_temp_path ${folder}/${name};`),
      `include ${folder}/site.conf;`,
      '}',
    ]
    writeFileSync(`${folder}/nginx.conf`, main.join('\n'))
    return ['-p', folder, '-e', `${folder}/error.log`, '-c', `${folder}/nginx.conf`]
  },
}

const caddy: Kind = {
  name: 'Caddy',
  program: 'caddy',
  version: ['version'],
  configure({ folder, upstream, httpsPort, httpPort }) {
    const site = adapted('caddy/Caddyfile', {
      '\n{\n': `\n{\n\tadmin off\n\thttp_port ${httpPort}\n\thttps_port ${httpsPort}\n\tdefault_bind 127.0.0.1\n`,
      '127.0.0.1:8000': upstream,
      'example.org {\n': `example.org {\n\ttls ${folder}/certificate.pem ${folder}/key.pem\n`,
    })
    writeFileSync(`${folder}/Caddyfile`, site)
    return ['run', '--config', `${folder}/Caddyfile`, '--adapter', 'caddyfile']
  },
}

/** The reverse proxies, each with the reason to skip its tests, or false. */
export const PROXIES = [nginx, caddy].map((kind) => {
  const { error } = spawnSync(kind.program, kind.version, { env: environmentIn('') })
  return {
    name: kind.name,
    skip: error !== undefined && `${kind.program} is not installed`,
    start: (t: Test, upstream: string) => start(t, kind, upstream),
  }
})

/** Returns the environment of a proxy that keeps its state in a folder; Debian has nginx in /usr/sbin. */
function environmentIn(folder: string): Record<string, string> {
  return {
    PATH: `${process.env.PATH}:/usr/sbin`,
    HOME: folder,
    XDG_DATA_HOME: folder,
    XDG_CONFIG_HOME: folder,
  }
}

/** Starts a reverse proxy with the shipped configuration in front of a service; it is stopped after the test. */
async function start(t: Test, kind: Kind, upstream: string): Promise<RunningProxy> {
  const folder = folderOf(t)
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-days', '2', '-subj', '/CN=example.org', '-addext', 'subjectAltName=DNS:example.org'],
      ...['-keyout', `${folder}/key.pem`, '-out', `${folder}/certificate.pem`],
    ],
    { stdio: 'ignore' },
  )
  const [httpsPort, httpPort] = [await freePort(), await freePort()]
  const args = kind.configure({ folder, upstream, httpsPort, httpPort })
  const child = spawn(kind.program, args, {
    env: environmentIn(folder),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    errors += more
  })
  const ended = once(child, 'close')
  t.teardown(() => {
    child.kill('SIGTERM')
    return ended
  })
  const proxy: RunningProxy = {
    httpsPort,
    httpPort,
    certificate: readFileSync(`${folder}/certificate.pem`),
    log: () =>
      globSync(`${folder}/*.log`)
        .map((file) => readFileSync(file, 'utf8'))
        .join('') + errors,
  }
  await until(`${kind.name} responds`, async () => {
    if (child.exitCode !== null) throw new Error(`${kind.name} ended: ${errors}`)
    return send(proxy, { path: '/metrics' }).then(
      () => true,
      () => false,
    )
  })
  return proxy
}

/** A request to a proxy. */
export interface ProxyRequest {
  path: string
  method?: string
  headers?: Record<string, string>
  body?: string | Buffer
  /** The address of the client, in 127.0.0.0/8. */
  from?: string
}

/** Sends a request, over a new connection. @returns the response, of which only the headers have arrived. */
export function open(proxy: RunningProxy, { path, method, headers, body, from }: ProxyRequest) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(
      {
        ...{ host: '127.0.0.1', port: proxy.httpsPort, ca: proxy.certificate, agent: false },
        ...{ servername: 'example.org', path, method: method ?? (body ? 'POST' : 'GET') },
        headers: { host: 'example.org', ...headers },
        ...(from === undefined ? {} : { localAddress: from }),
      },
      resolve,
    )
    sent.on('error', reject)
    // A client that sends a rejected body to its end may see a broken connection rather than the response.
    if (headers?.expect === '100-continue')
      sent.once('continue', () => sent.end(body)).flushHeaders()
    else sent.end(body)
  })
}

/** Sends a request. @returns the response. */
export async function send(
  proxy: RunningProxy,
  message: ProxyRequest,
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  const response = await open(proxy, message)
  const { statusCode: status = 0, headers } = response
  return { status, headers, body: await text(response) }
}
