-- What the server signs its links with. Made in the file itself, so that it outlives restarts and
-- nobody who calls the server has ever seen it.
ALTER TABLE hub ADD COLUMN secret TEXT NOT NULL DEFAULT '';
UPDATE hub SET secret = lower(hex(randomblob(32)));
