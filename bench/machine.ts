import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { median } from './figures.ts'

/** What the figures were measured on. */
export interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
  kernel: string
  node: string
  /** The median time to write 4 KiB and have them on disk, in the folder that was measured in. */
  syncMs: number
}

const SYNCS = 200

/** Describes this machine, and how fast the disk under the folder is. */
export function describeMachine(folder: string): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release().split('-')[0]}`,
    node: process.version,
    syncMs: measureSync(folder),
  }
}

function measureSync(folder: string): number {
  const path = join(folder, 'sync.probe')
  const file = openSync(path, 'w')
  try {
    const page = Buffer.alloc(4096, 1)
    const times = Array.from({ length: SYNCS }, () => {
      const started = performance.now()
      writeSync(file, page)
      fdatasyncSync(file)
      return performance.now() - started
    })
    return median(times)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}

/** The machine in one line. */
export function machineLine({ cpu, cores, memoryGiB, kernel, node, syncMs }: Machine): string {
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}, a sync to disk takes ${syncMs.toFixed(2)} ms`
}
