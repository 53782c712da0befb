-- Since when the attempts at a job have failed in a row; 0 if the last one has not.
ALTER TABLE jobs ADD COLUMN failing_since INTEGER NOT NULL DEFAULT 0;
