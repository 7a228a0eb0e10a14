import { readdirSync, readFileSync } from 'node:fs'
import type { Service } from './service.ts'

/** The metrics of a service at one point in time. */
export class Scrape {
  readonly #lines: string[]

  private constructor(text: string) {
    this.#lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  }

  /** Reads the metrics of a service. */
  static async of(service: Service): Promise<Scrape> {
    return new Scrape(await (await fetch(`${service.url}/metrics`)).text())
  }

  /** Returns the sum of the samples with this name and these labels, such as `status="200"`. */
  sum(name: string, ...labels: string[]): number {
    return this.#lines
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => labels.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }
}

/** Returns the resident memory of a process in MiB, and its number of open file descriptors. */
export function resourcesOf({ process }: Service): { memoryMiB: number; descriptors: number } {
  const status = readFileSync(`/proc/${process.pid}/status`, 'utf8')
  return {
    memoryMiB: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    descriptors: readdirSync(`/proc/${process.pid}/fd`).length,
  }
}
