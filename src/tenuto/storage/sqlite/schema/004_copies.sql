-- Of a copy: everything that was committed before this moment is in it. NULL in a store that is no
-- copy, or was one and has been started since. Whether its host had stopped, its leases tell.
ALTER TABLE hub ADD COLUMN copied_at INTEGER;
-- Which life of the store this is: the first, or one that a copy began when it was started. So
-- nothing that was noted of the original (how far a continuous copy has come) is taken for it.
ALTER TABLE hub ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
