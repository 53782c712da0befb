-- From here on event_keys has an event's keys of the kinds that many subjects share (store.Stream.Shares); those of events of
-- before stay. By any other key, a name, events are found from the subjects that have it (subject_keys) or had it (former_names),
-- each back from its newest event.

-- Position of the subject's event before this one, 0 for none; NULL where all keys are in event_keys.
ALTER TABLE events ADD COLUMN previous INTEGER;

-- The names that a subject's newest event no longer carries.
CREATE TABLE former_names (
  stream TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  subject TEXT NOT NULL,
  PRIMARY KEY (stream, kind, value, merchant_account, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_names_by_subject ON former_names (subject);
