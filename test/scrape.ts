import { readdirSync, readFileSync } from 'node:fs'
import type { Service } from './service.ts'

/** What a service measures of itself, at one moment. */
export class Scrape {
  readonly #lines: string[]

  private constructor(text: string) {
    this.#lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  }

  static async of(service: Service): Promise<Scrape> {
    return new Scrape(await (await fetch(`${service.url}/metrics`)).text())
  }

  /** The sum of the samples with this name whose labels include these, such as `status="200"`. */
  sum(name: string, ...labels: string[]): number {
    return this.#lines
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => labels.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }
}

/** The memory a process holds now, in MiB, and how many descriptors it has open. */
export function seriesValues({ process }: Service): { memoryMiB: number; descriptors: number } {
  const status = readFileSync(`/proc/${process.pid}/status`, 'utf8')
  return {
    memoryMiB: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    descriptors: readdirSync(`/proc/${process.pid}/fd`).length,
  }
}
