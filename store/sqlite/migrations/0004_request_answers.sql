-- fields: keyed digests of the content's parts, to name what differs in a repeat. refused: what Klarna refused under
-- the key before, if that binds it.
ALTER TABLE requests ADD COLUMN fields BLOB;
ALTER TABLE requests ADD COLUMN refused TEXT NOT NULL DEFAULT '';
CREATE INDEX requests_ended ON requests (updated_at) WHERE state <> 'open';
