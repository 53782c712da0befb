-- compatible: yes
-- Which part of a budget each replica has for itself, until when, and what it wants. There is nothing here that a crash
-- may not take.
CREATE UNLOGGED TABLE shares (
  budget TEXT COLLATE "C" NOT NULL,
  replica TEXT COLLATE "C" NOT NULL,
  demand DOUBLE PRECISION NOT NULL,
  share DOUBLE PRECISION NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL, -- by this server's clock
  PRIMARY KEY (budget, replica)
);
