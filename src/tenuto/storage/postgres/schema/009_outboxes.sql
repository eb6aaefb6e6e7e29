-- Whether an outbox has handed a message over, whose user may add messages and nothing else: such a one
-- starts instances, raises events and publishes; what else hosts and clients tell instances is not
-- believed of it. It may not write this column, so what stands there is true.
ALTER TABLE hub.inbox ADD COLUMN is_handed_over boolean NOT NULL
    DEFAULT (NOT has_table_privilege('hub.inbox'::regclass, 'DELETE'));
