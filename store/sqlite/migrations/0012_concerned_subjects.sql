-- concerns: the subject whose data key seals the answer; '' where it is sealed with the keyring.
ALTER TABLE requests ADD COLUMN concerns TEXT NOT NULL DEFAULT '';
