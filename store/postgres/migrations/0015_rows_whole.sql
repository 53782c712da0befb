-- compatible: yes
-- What is sealed cannot be compressed, and trying takes longer than storing it. Rows up to half a page stay in one piece, as
-- they are read.
ALTER TABLE events ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN lasting SET STORAGE EXTERNAL, ALTER COLUMN raw SET STORAGE EXTERNAL;
ALTER TABLE events SET (toast_tuple_target = 4080);
ALTER TABLE subjects ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN lasting SET STORAGE EXTERNAL;
ALTER TABLE subjects SET (toast_tuple_target = 4080);
ALTER TABLE requests ALTER COLUMN answer SET STORAGE EXTERNAL;
ALTER TABLE requests SET (toast_tuple_target = 4080);
