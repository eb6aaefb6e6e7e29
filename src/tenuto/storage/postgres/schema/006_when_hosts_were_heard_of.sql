-- When a host gave its last sign of life, for people: how old that is, and how long it holds, is told
-- of each by itself.
ALTER TABLE hub.member ADD COLUMN heard_at timestamptz NOT NULL DEFAULT clock_timestamp();
