import { fold } from '../../message/fold.ts'
import { instantKey } from '../../message/instant.ts'
import type { StoredMessage } from '../../message/message.ts'
import { searchKey } from './search-key.ts'

/** Columns of a message that are computed from others. */
export interface ComputedColumns {
  folded: string | null
  search_key: string | null
  ts_key: string
}

/** Computes the columns that are stored in addition to the message; see `MessagesTable`. */
export function computeColumns({ text, ts }: Pick<StoredMessage, 'text' | 'ts'>): ComputedColumns {
  const folded = text === null ? null : fold(text)
  const key = folded === null ? null : searchKey(folded)
  return { folded, search_key: key === folded ? null : key, ts_key: instantKey(ts) ?? '' }
}
