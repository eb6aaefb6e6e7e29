-- Instances that have not ended and are not held, by status: counting them looks at no others.
CREATE INDEX instance_open ON hub.instance (status) WHERE completed_at IS NULL AND held_for IS NULL;
