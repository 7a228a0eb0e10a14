import { Agent, get } from 'node:http'

/** An answer and how long it took to arrive as a whole. */
export interface Answer {
  status: number
  body: string
  ms: number
}

/** Asks one question after the other on one connection. */
export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  ask(path: string): Promise<Answer> {
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
