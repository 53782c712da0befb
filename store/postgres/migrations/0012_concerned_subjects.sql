-- concerns: the subject whose data key seals the answer; '' where it is sealed with the keyring.
ALTER TABLE requests ADD COLUMN concerns TEXT COLLATE "C" NOT NULL DEFAULT '';
