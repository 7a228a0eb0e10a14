import { sql } from 'kysely'
import { build, compile, type Placeholders } from './compile.ts'

/** The statements that overwrite what removed messages left in the file; see `Purge`. */
export const purgeQueries = {
  occupy: compile(({ bytes }: Placeholders<{ bytes: number }>) =>
    build
      .insertInto('free_pages')
      .values({ zeros: sql<Uint8Array>`zeroblob(cast(${bytes} as integer))` }),
  ),
  release: compile(() =>
    build
      .deleteFrom('free_pages')
      .where('id', '=', (eb) =>
        eb.selectFrom('free_pages').select((eb) => eb.fn.min('id').as('id')),
      ),
  ),
}
