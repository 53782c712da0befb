-- compatible: yes
-- Runs of events as watchers are sent them, made of the events. Those of another form than the program's are made anew.
CREATE TABLE blocks (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stream TEXT COLLATE "C" NOT NULL,
  form TEXT COLLATE "C" NOT NULL,
  merchant_account TEXT COLLATE "C" NOT NULL,
  after BIGINT NOT NULL,
  up_to BIGINT NOT NULL,
  body BYTEA -- sealed
);
CREATE UNIQUE INDEX blocks_by_end ON blocks (stream, form, merchant_account, up_to);
ALTER TABLE blocks ALTER COLUMN body SET STORAGE EXTERNAL; -- what is sealed cannot be compressed
CREATE INDEX blocks_by_begin ON blocks (after);
