import { Agent, get } from 'node:http'

/** A response, and the time until its last byte. */
export interface TimedResponse {
  status: number
  body: string
  ms: number
}

/** An HTTP client that sends one request at a time over one connection. */
export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** Sends a GET request and reads the whole response. */
  get(path: string): Promise<TimedResponse> {
    return new Promise((resolve, reject) => {
      const started = performance.now()
      const request = get(`${this.#url}${path}`, { agent: this.#agent }, (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          body += text
        })
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body, ms: performance.now() - started })
        })
        response.on('error', reject)
      })
      request.on('error', reject)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}
