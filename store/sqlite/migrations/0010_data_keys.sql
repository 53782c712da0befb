-- The key that a subject's personal data is sealed with; NULL once it was erased.
CREATE TABLE data_keys (
  subject TEXT PRIMARY KEY,
  key BLOB, -- sealed
  erased_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX data_keys_erased ON data_keys (subject) WHERE erased_at <> 0;

-- What is left of a body once its subject was erased; NULL where all of it is.
ALTER TABLE events ADD COLUMN lasting BLOB;
ALTER TABLE subjects ADD COLUMN lasting BLOB;
