-- Keys that Klarna's posts are verified with. A key that is gone keeps its row, without the secret.
CREATE TABLE signing_keys (
  scheme TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  id TEXT NOT NULL,
  key BLOB, -- sealed
  origin TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_used INTEGER NOT NULL,
  retire_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL,
  PRIMARY KEY (scheme, merchant_account, id)
) STRICT, WITHOUT ROWID;

-- Sample events that Klarna was asked to post to a webhook, and what came.
CREATE TABLE probes (
  merchant_account TEXT NOT NULL,
  webhook TEXT NOT NULL,
  event_type TEXT NOT NULL,
  asked_at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  signing_key TEXT NOT NULL,
  flaw TEXT NOT NULL,
  raw BLOB, -- sealed
  PRIMARY KEY (merchant_account, webhook, event_type)
) STRICT, WITHOUT ROWID;
