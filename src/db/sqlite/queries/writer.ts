import { indexingQueries } from './indexing.ts'
import { purgeQueries } from './purge.ts'
import { rejectedWriteQueries } from './rejected.ts'
import { removalQueries } from './removal.ts'
import { senderRunQueries } from './sender-runs.ts'
import { writeQueries } from './write.ts'

/** The statements of the writer thread. */
export const writerQueries = {
  write: { ...writeQueries, rejected: rejectedWriteQueries },
  index: indexingQueries,
  runs: senderRunQueries,
  removal: removalQueries,
  purge: purgeQueries,
}
