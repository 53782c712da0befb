-- raw_dropped is the newest position up to which DropRaw took the raw bodies away.
ALTER TABLE log ADD COLUMN raw_dropped INTEGER NOT NULL DEFAULT 0;

-- How far watchers have come that keep it here.
CREATE TABLE checkpoints (
  caller TEXT NOT NULL,
  name TEXT NOT NULL,
  watch TEXT NOT NULL,
  token TEXT NOT NULL,
  position INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (caller, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoints_by_position ON checkpoints (position);
