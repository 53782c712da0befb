-- compatible: yes
-- What Klarna calls the last attempt at a request, for talking to its support.
ALTER TABLE requests ADD COLUMN correlation_id TEXT NOT NULL DEFAULT '';
