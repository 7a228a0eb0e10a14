import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { median } from './figures.ts'

/** The machine on which figures were measured. */
export interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
  kernel: string
  node: string
  /** Median time to write and sync 4 KiB, in milliseconds. */
  syncMs: number
}

const SYNCS = 200

/** Describes this machine, and measures the disk that contains the folder. */
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

/** Formats a machine in one line. */
export function machineLine({ cpu, cores, memoryGiB, kernel, node, syncMs }: Machine): string {
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}, a sync to disk takes ${syncMs.toFixed(2)} ms`
}
