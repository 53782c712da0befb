-- raw_dropped is the newest position up to which DropRaw took the raw bodies away.
ALTER TABLE log ADD COLUMN raw_dropped INTEGER NOT NULL DEFAULT 0;
