-- compatible: no
-- Times are microseconds since 1970 in UTC; 0 is the zero time. Sealed columns hold ciphertext only. Keys compare byte by
-- byte (COLLATE "C"), so no index depends on the collations of a system library.

-- One row. Whoever writes locks it until the commit, which makes positions visible in order. head is the newest position,
-- trimmed the newest one that Trim took away. After a restore from backup epoch is raised by one, so that watchers who saw
-- what the backup lacks notice.
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  head BIGINT NOT NULL,
  trimmed BIGINT NOT NULL
) WITH (fillfactor = 10);
INSERT INTO log (one, id, epoch, head, trimmed) VALUES (1, replace(gen_random_uuid()::text, '-', ''), 1, 0, 0);

-- Every id ever appended, also of events that were trimmed since.
CREATE TABLE event_ids (
  id TEXT COLLATE "C" PRIMARY KEY,
  position BIGINT NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  fingerprint BYTEA
);

CREATE TABLE events (
  position BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  stream TEXT COLLATE "C" NOT NULL,
  merchant_account TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  kind TEXT NOT NULL,
  cause TEXT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  previous_state TEXT NOT NULL,
  superseded BOOLEAN NOT NULL,
  occurred_at BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL,
  keys TEXT NOT NULL, -- JSON: [["kind","value"], …]
  body BYTEA, -- sealed
  raw BYTEA, -- sealed
  fingerprint BYTEA,
  trace_parent TEXT NOT NULL,
  PRIMARY KEY (stream, position)
);
-- An expression, so that a read of one account has this way only: the planner cannot know that an account is a rare one
-- and would walk the whole stream instead.
CREATE INDEX events_by_account ON events (stream, merchant_account, (position + 0));
CREATE INDEX events_by_position ON events USING brin (position);

-- The keys an event carries, for filtered reads. The account stands behind the key, so that a reader of all accounts
-- finds the key too.
CREATE TABLE event_keys (
  stream TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  merchant_account TEXT COLLATE "C" NOT NULL,
  position BIGINT NOT NULL,
  PRIMARY KEY (stream, kind, value, merchant_account, position)
);

CREATE TABLE subjects (
  id TEXT COLLATE "C" PRIMARY KEY,
  stream TEXT COLLATE "C" NOT NULL,
  merchant_account TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  keys TEXT NOT NULL, -- JSON, those of the newest event
  body BYTEA, -- sealed
  first BIGINT NOT NULL, -- position of its first event
  latest BIGINT NOT NULL, -- position of its newest event
  merged_into TEXT COLLATE "C" NOT NULL, -- id of a subject that is itself not merged away; '' if live
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX subjects_by_stream ON subjects (stream, latest) WHERE merged_into = '';
CREATE INDEX subjects_by_account ON subjects (stream, merchant_account, (latest + 0)) WHERE merged_into = '';
CREATE INDEX subjects_merged ON subjects (merged_into) WHERE merged_into <> '';

-- The keys of a subject's newest event. A merge leaves them with the subject that was taken over; they address its
-- taker by way of merged_into, whatever keys the taker's own events carry later.
CREATE TABLE subject_keys (
  stream TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  merchant_account TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (stream, kind, value, merchant_account, subject)
);
CREATE INDEX subject_keys_by_subject ON subject_keys (subject);

-- leased_until is 0 while a job waits. Per kind, account and key one job waits and one is leased at most.
CREATE TABLE jobs (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  merchant_account TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  payload BYTEA, -- sealed
  run_at BIGINT NOT NULL,
  deadline BIGINT NOT NULL,
  attempt INTEGER NOT NULL,
  leased_until BIGINT NOT NULL,
  last_error TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  trace_parent TEXT NOT NULL
);
CREATE UNIQUE INDEX jobs_waiting ON jobs (kind, merchant_account, key) WHERE leased_until = 0;
CREATE UNIQUE INDEX jobs_leased ON jobs (kind, merchant_account, key) WHERE leased_until <> 0;
CREATE INDEX jobs_by_time ON jobs (run_at, id);

CREATE TABLE requests (
  merchant_account TEXT COLLATE "C" NOT NULL,
  operation TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  caller TEXT NOT NULL,
  fingerprint BYTEA,
  subject TEXT NOT NULL,
  klarna_key TEXT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  answer BYTEA, -- sealed
  first_sent BIGINT NOT NULL,
  leased_until BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (merchant_account, operation, id)
);
CREATE INDEX requests_leased ON requests (leased_until) WHERE leased_until <> 0;

CREATE TABLE secrets (
  hash BYTEA PRIMARY KEY,
  purpose TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  key TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE TABLE quarantine (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  merchant_account TEXT NOT NULL,
  event_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  raw BYTEA, -- sealed
  received_at BIGINT NOT NULL
);
