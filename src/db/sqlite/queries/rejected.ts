import { MAX_REJECTED_BYTES, type NewRejectedRow } from '../../rejected-bodies.ts'
import { build, compile, type Placeholders } from './compile.ts'
import { eb } from './expressions.ts'

const SIZE = eb.fn<number>('octet_length', ['body'])

const SUMMARY = ['id', 'at', 'source', 'status', 'problems', SIZE.as('bytes')] as const

/** The statements that write rejected bodies. */
export const rejectedWriteQueries = {
  insert: compile(({ at, source, status, problems, headers, body }: Placeholders<NewRejectedRow>) =>
    build.insertInto('rejected_bodies').values({ at, source, status, problems, headers, body }),
  ),
  /** Deletes all but the newest bodies that fit both limits. */
  trim: compile(({ limit }: Placeholders<{ limit: number }>) =>
    build.deleteFrom('rejected_bodies').where('id', 'in', (eb) =>
      eb
        .selectFrom((eb) =>
          eb
            .selectFrom('rejected_bodies')
            .select((eb) => [
              'id',
              eb.fn
                .countAll<number>()
                .over((over) => over.orderBy('id', 'desc'))
                .as('position'),
              eb.fn
                .sum<number>(SIZE)
                .over((over) => over.orderBy('id', 'desc'))
                .as('total'),
            ])
            .as('ranked'),
        )
        .select('ranked.id')
        .where((eb) => eb.or([eb('position', '>', limit), eb('total', '>', MAX_REJECTED_BYTES)])),
    ),
  ),
  remove: compile(({ id }: Placeholders<{ id: number }>) =>
    build.deleteFrom('rejected_bodies').where('id', '=', id),
  ),
}

/** The statements that read rejected bodies. */
export const rejectedReadQueries = {
  newest: compile(({ before, limit }: Placeholders<{ before: number; limit: number }>) =>
    build
      .selectFrom('rejected_bodies')
      .select(SUMMARY)
      .where('id', '<', before)
      .orderBy('id', 'desc')
      .limit(limit),
  ),
  find: compile(({ id }: Placeholders<{ id: number }>) =>
    build
      .selectFrom('rejected_bodies')
      .select([...SUMMARY, 'headers', 'body'])
      .where('id', '=', id),
  ),
}
