-- Runs of events as watchers are sent them, made of the events. Those of another form than the program's are made anew.
CREATE TABLE blocks (
  id INTEGER PRIMARY KEY,
  stream TEXT NOT NULL,
  form TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  after INTEGER NOT NULL,
  up_to INTEGER NOT NULL,
  body BLOB -- sealed
) STRICT;
CREATE UNIQUE INDEX blocks_by_end ON blocks (stream, form, merchant_account, up_to);
CREATE INDEX blocks_by_begin ON blocks (after);
