-- compatible: yes
-- raw_dropped is the newest position up to which DropRaw took the raw bodies away.
ALTER TABLE log ADD COLUMN raw_dropped BIGINT NOT NULL DEFAULT 0;

-- How far watchers have come that keep it here.
CREATE TABLE checkpoints (
  caller TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  watch TEXT NOT NULL,
  token TEXT NOT NULL,
  position BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (caller, name)
);
CREATE INDEX checkpoints_by_position ON checkpoints (position);
