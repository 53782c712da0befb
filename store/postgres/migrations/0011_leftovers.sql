-- compatible: yes
-- swept is the position up to which Trim has looked at every event once. leftovers are events up to there that Trim kept as
-- their subjects' newest and that have been left behind since. A trigger puts them there, so that replicas of an earlier
-- version do so too. Whoever moves a subject holds the log's row, so swept does not move meanwhile.
ALTER TABLE log ADD COLUMN swept BIGINT NOT NULL DEFAULT 0;
CREATE TABLE leftovers (
  position BIGINT PRIMARY KEY,
  stream TEXT COLLATE "C" NOT NULL
);
-- It runs with its owner's rights: a role that may not change the schema has been granted none on tables that came later.
CREATE FUNCTION leave_behind() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO leftovers (position, stream)
  SELECT o.latest, o.stream FROM before AS o JOIN after AS n ON n.id = o.id AND n.latest <> o.latest
  WHERE o.latest <= (SELECT swept FROM log) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER leave_behind AFTER UPDATE ON subjects REFERENCING OLD TABLE AS before NEW TABLE AS after
  FOR EACH STATEMENT EXECUTE FUNCTION leave_behind();
