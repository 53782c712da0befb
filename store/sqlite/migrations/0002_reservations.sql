-- What open requests may be spending of a fund. There is no row for the fund itself: SQLite has one writer at a time.
CREATE TABLE reservations (
  merchant_account TEXT NOT NULL,
  operation TEXT NOT NULL,
  request_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  reference TEXT NOT NULL,
  amount INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (merchant_account, kind, key, operation, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_by_request ON reservations (merchant_account, operation, request_id);
