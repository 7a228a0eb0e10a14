/** Turns the schema of a file into the one before messages had details. */
export const BEFORE_SOURCES = `
  alter table messages drop column source;
  alter table messages drop column type;
  alter table messages drop column payload;
  drop table rejected_bodies;
  drop table feed_start;
  drop table digest_key;
  drop table removed_messages;
  drop table erased_ids;
  drop table free_pages;
  drop table last_backup;
  delete from kysely_migration where name >= '0004-sources';
`
