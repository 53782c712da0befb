-- swept is the position up to which Trim has looked at every event once. leftovers are events up to there that Trim kept as
-- their subjects' newest and that have been left behind since.
ALTER TABLE log ADD COLUMN swept INTEGER NOT NULL DEFAULT 0;
CREATE TABLE leftovers (position INTEGER PRIMARY KEY) STRICT;

-- As jobs_waiting, with what is about one thing side by side: a new payment's jobs then change one page.
CREATE UNIQUE INDEX jobs_waiting_by_key ON jobs (key, kind, merchant_account) WHERE leased_until = 0;
DROP INDEX jobs_waiting;

-- From here on a subject's body and lasting are NULL where they are those of its newest event.
