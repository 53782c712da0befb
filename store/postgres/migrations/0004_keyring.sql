-- compatible: yes
-- A digest that only the keyring gives that sealed what is here; none until the first start.
ALTER TABLE log ADD COLUMN keyring BYTEA;
