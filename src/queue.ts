/** Links that a queue stores in its members. */
export interface QueueMember<Self extends QueueMember<Self>> {
  /** Queue that contains the member. */
  queue: Queue<Self> | undefined
  older: Self | undefined
  newer: Self | undefined
  /** Share of the member in the weight of its queue; must not change while a queue contains it. */
  weight: number
}

/**
 * Doubly linked list in insertion order, with removal from any position in constant time.
 * A Set would slow down garbage collection: V8 regularly replaces its table as members are added and removed, and each
 * old table references the next one, so that removed members survive minor collections.
 */
export class Queue<Member extends QueueMember<Member>> {
  #oldest: Member | undefined
  #newest: Member | undefined
  #size = 0
  #weight = 0

  /** Number of members. */
  get size(): number {
    return this.#size
  }

  /** Sum of the weights of all members. */
  get weight(): number {
    return this.#weight
  }

  /** Appends a member, after removing it from the queue that contains it. */
  add(member: Member): void {
    member.queue?.remove(member)
    member.queue = this
    member.older = this.#newest
    if (this.#newest) this.#newest.newer = member
    else this.#oldest = member
    this.#newest = member
    this.#size++
    this.#weight += member.weight
  }

  /** Removes a member of this queue, and clears its links. */
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
    this.#weight -= member.weight
  }

  /** Iterates over the members, oldest first. The current member may be removed during iteration. */
  *[Symbol.iterator](): Generator<Member, void> {
    let member = this.#oldest
    while (member) {
      const { newer } = member
      yield member
      member = newer
    }
  }
}
