-- When somebody said that they have seen to a dead letter; NULL until then.
ALTER TABLE dead_letter ADD COLUMN acknowledged_at INTEGER;
