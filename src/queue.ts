/** What a queue needs of its members: it keeps its links in them. */
export interface QueueMember<Self extends QueueMember<Self>> {
  /** The queue that the member is in. */
  queue: Queue<Self> | undefined
  older: Self | undefined
  newer: Self | undefined
}

/**
 * A linked list in order of arrival, with removal from any position in constant time. Not a Set: as members come and
 * go, V8 replaces its table again and again, and each old table keeps the next one and its members from being
 * collected early.
 */
export class Queue<Member extends QueueMember<Member>> {
  #oldest: Member | undefined
  #newest: Member | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Appends a member, which leaves the queue that it was in. */
  add(member: Member): void {
    member.queue?.remove(member)
    member.queue = this
    member.older = this.#newest
    if (this.#newest) this.#newest.newer = member
    else this.#oldest = member
    this.#newest = member
    this.#size++
  }

  /** Removes a member of this queue and clears its links. */
  remove(member: Member): void {
    const { older, newer } = member
    if (older) older.newer = newer
    else this.#oldest = newer
    if (newer) newer.older = older
    else this.#newest = older
    member.queue = undefined
    member.older = undefined
    member.newer = undefined
    this.#size--
  }

  /** Yields the oldest member first; the member that was yielded last may be removed meanwhile. */
  *[Symbol.iterator](): Generator<Member, void> {
    let member = this.#oldest
    while (member) {
      const { newer } = member
      yield member
      member = newer
    }
  }
}
