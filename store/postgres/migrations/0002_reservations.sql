-- compatible: no
-- What open requests may be spending of a fund. There is no row for the fund itself: the log's row is its lock too.
CREATE TABLE reservations (
  merchant_account TEXT COLLATE "C" NOT NULL,
  operation TEXT COLLATE "C" NOT NULL,
  request_id TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  reference TEXT NOT NULL,
  amount BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (merchant_account, kind, key, operation, request_id)
);
CREATE INDEX reservations_by_request ON reservations (merchant_account, operation, request_id);
