-- A subscription has a place in each topic that it has ever read: one that is pointed at another topic,
-- and back, goes on where it was. What has failed and is tried again is listed by position, with its
-- attempts and when the next is due; positions below zero are those of ``redelivery``. ``is_full`` says
-- that it reads no further before the first event is done with. A place is written under a lease, which
-- says who serves it: as long as that lease holds.
ALTER TABLE hub.subscription
    DROP CONSTRAINT subscription_pkey,
    ADD PRIMARY KEY (name, topic),
    ADD COLUMN epoch bigint,
    ADD COLUMN partition int,
    ADD COLUMN is_full boolean NOT NULL DEFAULT false,
    ADD COLUMN owner text COLLATE "C",
    ADD COLUMN tried bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN tries bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN due bigint[] NOT NULL DEFAULT '{}';
