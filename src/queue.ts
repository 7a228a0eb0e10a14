/** What may stand in a queue: it holds its own place there. */
export interface QueueMember<Self> {
  older: Self | undefined
  newer: Self | undefined
}

/**
 * Members in the order of their arrival, which may leave from any place. Not a Set: as its members come and go, V8
 * leaves behind table after table, each of which keeps the next one and its members from being collected early.
 */
export class Queue<Member extends QueueMember<Member>> {
  #oldest: Member | undefined
  #newest: Member | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Takes a member that stands in no queue. */
  add(member: Member): void {
    member.older = this.#newest
    if (this.#newest) this.#newest.newer = member
    else this.#oldest = member
    this.#newest = member
    this.#size++
  }

  /** Lets go of a member that stands in this queue; it keeps no hold of its neighbours. */
  remove(member: Member): void {
    const { older, newer } = member
    if (older) older.newer = newer
    else this.#oldest = newer
    if (newer) newer.older = older
    else this.#newest = older
    member.older = undefined
    member.newer = undefined
    this.#size--
  }

  /** The oldest first. A member may leave meanwhile, once it was met. */
  *[Symbol.iterator](): Generator<Member, void> {
    let member = this.#oldest
    while (member) {
      const { newer } = member
      yield member
      member = newer
    }
  }
}
