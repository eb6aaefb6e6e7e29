-- A subscription has a place in each topic that it has ever read: one that is pointed at another topic,
-- and back, goes on where it was. ``tried`` lists what has failed and is tried again, as a JSON array of
-- [position, attempts, due]; positions below zero are those of ``redelivery``. ``is_full`` says that it
-- reads no further before the first event is done with. A place is written under a lease, which says who
-- serves it: as long as that lease holds.
CREATE TABLE subscription_place (
    name       TEXT NOT NULL,
    topic      TEXT NOT NULL,
    position   INTEGER NOT NULL,
    done       TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    tried      TEXT NOT NULL DEFAULT '[]',
    is_full    INTEGER NOT NULL DEFAULT 0,
    partition  INTEGER,
    owner      TEXT,
    epoch      INTEGER,
    PRIMARY KEY (name, topic)
) STRICT;

INSERT INTO subscription_place (name, topic, position, done, updated_at)
    SELECT name, topic, position, done, updated_at FROM subscription;

DROP TABLE subscription;
ALTER TABLE subscription_place RENAME TO subscription;
