-- Instances that have not ended and are not held, by status: counting them looks at no others. The
-- other columns are always null here; with them the index alone tells.
CREATE INDEX instance_open ON instance (status, completed_at, held)
    WHERE completed_at IS NULL AND held IS NULL;
