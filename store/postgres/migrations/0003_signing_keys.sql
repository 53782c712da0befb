-- compatible: yes
-- Keys that Klarna's posts are verified with. A key that is gone keeps its row, without the secret.
CREATE TABLE signing_keys (
  scheme TEXT COLLATE "C" NOT NULL,
  merchant_account TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  key BYTEA, -- sealed
  origin TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  last_used BIGINT NOT NULL,
  retire_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  PRIMARY KEY (scheme, merchant_account, id)
);

-- Sample events that Klarna was asked to post to a webhook, and what came.
CREATE TABLE probes (
  merchant_account TEXT COLLATE "C" NOT NULL,
  webhook TEXT COLLATE "C" NOT NULL,
  event_type TEXT COLLATE "C" NOT NULL,
  asked_at BIGINT NOT NULL,
  until BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  event_id TEXT NOT NULL,
  signing_key TEXT NOT NULL,
  flaw TEXT NOT NULL,
  raw BYTEA, -- sealed
  PRIMARY KEY (merchant_account, webhook, event_type)
);
