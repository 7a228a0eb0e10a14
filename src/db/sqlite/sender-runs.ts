import type { senderRunQueries } from './queries/sender-runs.ts'
import { FAN_IN, MAX_RUNS, type SenderRun, VISIBLE_STATES } from './schema.ts'
import type { Prepared } from './statement.ts'

/** The position before the first entry of any run. */
const START = { sender: 0, ts_key: '', message_id: '' }

type NextStep =
  | { kind: 'delete'; run: number }
  | { kind: 'merge'; target: number; sources: number[] }
  | { kind: 'begin'; level: number; sources: number[] }

/**
 * The index of messages by sender, as a log-structured merge tree.
 * (O'Neil et al., "The Log-Structured Merge-Tree", 1996.) In a single B-tree, nearly every message would change another
 * page, since most successive messages belong to different senders.
 *
 * Each indexing step adds one run of level 0: entries in the order of sender and page, written one after the other.
 * `FAN_IN` runs of a level are merged into one run of the next level, in steps of a bounded number of entries. A merge
 * survives a crash: the last entry of its target is where it continues. Until the merge is complete, reads use its
 * sources. One transaction then makes the target visible and the sources obsolete, whose entries are deleted in steps.
 * The caller runs each call in a transaction.
 */
export class SenderRuns {
  readonly #query: Prepared<typeof senderRunQueries>

  constructor(query: Prepared<typeof senderRunQueries>) {
    this.#query = query
  }

  /** Adds a run of level 0, after merging some if there are `MAX_RUNS`. @returns its number. */
  add(): number {
    const visible = () =>
      this.#query.list.all().filter(({ state }) => VISIBLE_STATES.includes(state))
    while (visible().length >= MAX_RUNS) {
      const step = this.#next(true)
      if (!step) break
      this.#runStep(step, Number.MAX_SAFE_INTEGER)
    }
    return this.#addRun(0, 'live')
  }

  /** Moves or deletes at most `limit` entries. @returns their number; 0 if there is nothing to do. */
  advance(limit: number): number {
    const step = this.#next()
    return step ? this.#runStep(step, limit) : 0
  }

  #addRun(level: number, state: SenderRun['state']): number {
    const added = this.#query.add.get({ level, state })
    if (!added) throw new Error('no run was added')
    return added.run
  }

  /**
   * Chooses the next step, at the lowest level first.
   * Merges of low levels are short, and the number of their runs grows fastest.
   * @param force whether to merge fewer than `FAN_IN` runs if there is no other step.
   */
  #next(force = false): NextStep | undefined {
    const runs = this.#query.list.all()
    const top = Math.max(0, ...runs.map(({ level }) => level))
    for (let level = 0; level <= top; level++) {
      const obsolete = runs.find((run) => run.state === 'obsolete' && run.level === level)
      if (obsolete) return { kind: 'delete', run: obsolete.run }
      const target = runs.find((run) => run.state === 'target' && run.level === level + 1)?.run
      if (target !== undefined) {
        const sources = runs.filter((run) => run.state === 'source' && run.target === target)
        return { kind: 'merge', target, sources: sources.map(({ run }) => run) }
      }
      const live = liveAt(runs, level)
      if (live.length >= FAN_IN) return { kind: 'begin', level, sources: live.slice(0, FAN_IN) }
    }
    if (!force) return undefined
    const levels = Array.from({ length: top + 1 }, (_, level) => level)
    const level = levels.find((one) => liveAt(runs, one).length > 1)
    return level === undefined
      ? undefined
      : { kind: 'begin', level, sources: liveAt(runs, level).slice(0, FAN_IN) }
  }

  #runStep(step: NextStep, limit: number): number {
    if (step.kind === 'delete') return this.#deleteObsolete(step.run, limit)
    if (step.kind === 'merge') return this.#merge(step.target, step.sources, limit)
    const target = this.#addRun(step.level + 1, 'target')
    for (const run of step.sources) this.#query.setState.run({ run, state: 'source', target })
    return this.#merge(target, step.sources, limit)
  }

  #merge(target: number, sources: number[], limit: number): number {
    const after = this.#query.last.get({ run: target }) ?? START
    const merge = { ...after, target, sources: JSON.stringify(sources), limit }
    const moved = this.#query.merge.run(merge)
    if (moved === limit) return moved
    this.#query.setState.run({ run: target, state: 'live', target: null })
    for (const run of sources) this.#query.setState.run({ run, state: 'obsolete', target: null })
    return Math.max(1, moved)
  }

  #deleteObsolete(run: number, limit: number): number {
    const end = this.#query.at.get({ run, offset: limit })
    if (end) return this.#query.deleteBefore.run({ run, ...end })
    const deleted = this.#query.deleteAll.run({ run })
    this.#query.remove.run({ run })
    return Math.max(1, deleted)
  }
}

function liveAt(runs: readonly SenderRun[], level: number): number[] {
  return runs.filter((run) => run.state === 'live' && run.level === level).map(({ run }) => run)
}
