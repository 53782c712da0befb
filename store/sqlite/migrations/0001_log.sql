-- Times are microseconds since 1970 in UTC; 0 is the zero time. Sealed columns hold ciphertext only.

-- One row. head is the newest position; it moves in the transaction that appends, so positions become visible in order.
-- trimmed is the newest position that Trim took away. After a restore from backup an operator raises epoch by one, so
-- that watchers who saw what the backup lacks notice.
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  head INTEGER NOT NULL,
  trimmed INTEGER NOT NULL
) STRICT;
INSERT INTO log (one, id, epoch, head, trimmed) VALUES (1, lower(hex(randomblob(16))), 1, 0, 0);

-- Every id ever appended, also of events that were trimmed since.
CREATE TABLE event_ids (
  id TEXT PRIMARY KEY,
  position INTEGER NOT NULL,
  subject TEXT NOT NULL,
  fingerprint BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  position INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  stream TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  subject TEXT NOT NULL,
  kind TEXT NOT NULL,
  cause TEXT NOT NULL,
  state TEXT NOT NULL,
  previous_state TEXT NOT NULL,
  superseded INTEGER NOT NULL,
  occurred_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  keys TEXT NOT NULL, -- JSON: [["kind","value"], …]
  body BLOB, -- sealed
  raw BLOB, -- sealed
  fingerprint BLOB,
  trace_parent TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_stream ON events (stream);
CREATE INDEX events_by_account ON events (stream, merchant_account);

-- The keys an event carries, for filtered reads. The account stands behind the key, so that a reader of all accounts
-- finds the key too.
CREATE TABLE event_keys (
  stream TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (stream, kind, value, merchant_account, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE subjects (
  id TEXT PRIMARY KEY,
  stream TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  state TEXT NOT NULL,
  keys TEXT NOT NULL, -- JSON, those of the newest event
  body BLOB, -- sealed
  first INTEGER NOT NULL, -- position of its first event
  latest INTEGER NOT NULL, -- position of its newest event
  merged_into TEXT NOT NULL, -- id of a subject that is itself not merged away; '' if live
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subjects_by_stream ON subjects (stream, latest) WHERE merged_into = '';
CREATE INDEX subjects_by_account ON subjects (stream, merchant_account, latest) WHERE merged_into = '';
CREATE INDEX subjects_merged ON subjects (merged_into) WHERE merged_into <> '';

-- The keys of a subject's newest event. A merge leaves them with the subject that was taken over; they address its
-- taker by way of merged_into, whatever keys the taker's own events carry later.
CREATE TABLE subject_keys (
  stream TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  subject TEXT NOT NULL,
  PRIMARY KEY (stream, kind, value, merchant_account, subject)
) STRICT, WITHOUT ROWID;

-- leased_until is 0 while a job waits. Per kind, account and key one job waits and one is leased at most.
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  key TEXT NOT NULL,
  payload BLOB, -- sealed
  run_at INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  leased_until INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  trace_parent TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX jobs_waiting ON jobs (kind, merchant_account, key) WHERE leased_until = 0;
CREATE UNIQUE INDEX jobs_leased ON jobs (kind, merchant_account, key) WHERE leased_until <> 0;
CREATE INDEX jobs_due ON jobs (run_at) WHERE leased_until = 0;
CREATE INDEX jobs_expiring ON jobs (leased_until) WHERE leased_until <> 0;

CREATE TABLE requests (
  merchant_account TEXT NOT NULL,
  operation TEXT NOT NULL,
  id TEXT NOT NULL,
  caller TEXT NOT NULL,
  fingerprint BLOB,
  subject TEXT NOT NULL,
  klarna_key TEXT NOT NULL,
  state TEXT NOT NULL,
  answer BLOB, -- sealed
  first_sent INTEGER NOT NULL,
  leased_until INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (merchant_account, operation, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_leased ON requests (leased_until) WHERE leased_until <> 0;

CREATE TABLE secrets (
  hash BLOB PRIMARY KEY,
  purpose TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  key TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_account TEXT NOT NULL,
  event_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  raw BLOB, -- sealed
  received_at INTEGER NOT NULL
) STRICT;
