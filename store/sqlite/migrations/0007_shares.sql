-- Which part of a budget each process has for itself, until when, and what it wants.
CREATE TABLE shares (
  budget TEXT NOT NULL,
  replica TEXT NOT NULL,
  demand REAL NOT NULL,
  share REAL NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (budget, replica)
) STRICT, WITHOUT ROWID;
