-- Rows stand in the order in which they came, and their keys in an index beside. A request is long, its key is any, and it is
-- written twice: both writes now change pages at the end, which others change too, and one of the index. What is there already
-- stays in the order of its keys: to sort it would take as much memory as there is of it.
CREATE TABLE requests_in_order (
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
  fields BLOB,
  refused TEXT NOT NULL DEFAULT '',
  correlation_id TEXT NOT NULL DEFAULT '',
  concerns TEXT NOT NULL DEFAULT '', -- whose data key seals the answer; '' where it is sealed with the keyring
  PRIMARY KEY (merchant_account, operation, id)
) STRICT;
INSERT INTO requests_in_order (merchant_account, operation, id, caller, fingerprint, subject, klarna_key, state, answer,
  first_sent, leased_until, updated_at, fields, refused, correlation_id, concerns)
SELECT merchant_account, operation, id, caller, fingerprint, subject, klarna_key, state, answer,
  first_sent, leased_until, updated_at, fields, refused, correlation_id, concerns FROM requests;
DROP TABLE requests;
ALTER TABLE requests_in_order RENAME TO requests;
CREATE INDEX requests_leased ON requests (leased_until) WHERE leased_until <> 0;
CREATE INDEX requests_ended ON requests (updated_at) WHERE state <> 'open';

CREATE TABLE secrets_in_order (
  hash BLOB PRIMARY KEY,
  purpose TEXT NOT NULL,
  merchant_account TEXT NOT NULL,
  key TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
INSERT INTO secrets_in_order (hash, purpose, merchant_account, key, expires_at)
SELECT hash, purpose, merchant_account, key, expires_at FROM secrets;
DROP TABLE secrets;
ALTER TABLE secrets_in_order RENAME TO secrets;
