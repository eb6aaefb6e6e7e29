-- Instances that have failed or were terminated, which people look for among many that have not: in
-- the order of lists. Those that complete cost nothing here.
CREATE INDEX instance_failed ON instance (created_at) WHERE status IN (3, 5);
