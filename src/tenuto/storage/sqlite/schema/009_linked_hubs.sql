-- Links to other hubs: how far each direction is, and what waits for the other hub.
-- ``most_messages`` and ``most_bytes`` are what may wait for it by the settings of the newest host.
CREATE TABLE linked_hub (
    name          TEXT PRIMARY KEY,
    url           TEXT,
    called        TEXT NOT NULL,
    key           TEXT NOT NULL,
    life          TEXT NOT NULL DEFAULT '',
    past_lives    TEXT NOT NULL DEFAULT '[]',
    received      INTEGER NOT NULL DEFAULT 0,
    delivered     INTEGER NOT NULL DEFAULT 0,
    heard_at      INTEGER,
    problem       TEXT,
    most_messages INTEGER NOT NULL DEFAULT 100000,
    most_bytes    INTEGER NOT NULL DEFAULT 268435456
) STRICT, WITHOUT ROWID;

-- What waits for another hub: messages to its instances, and events for its topics, whose name stands
-- in ``instance_id`` then. A number is never given out again, so that the other one can tell what
-- it has.
CREATE TABLE outgoing (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    hub         TEXT NOT NULL,
    message_id  TEXT NOT NULL UNIQUE,
    instance_id TEXT NOT NULL,
    message     TEXT NOT NULL
) STRICT;

CREATE INDEX outgoing_hub ON outgoing (hub, sequence);

-- Pieces of one message that is too long for the line.
CREATE TABLE incoming_piece (
    hub      TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (hub, sequence, at)
) STRICT, WITHOUT ROWID;

-- No instance of this hub has an id with a slash, and no topic a name with one: what is sent there is
-- for a linked hub. So it is
-- written by the very commit that decided it, whoever writes messages.
CREATE TRIGGER inbox_goes_out AFTER INSERT ON inbox WHEN instr(new.instance_id, '/') > 0 BEGIN
    INSERT OR IGNORE INTO outgoing (hub, message_id, instance_id, message) VALUES (
        substr(new.instance_id, 1, instr(new.instance_id, '/') - 1), new.message_id,
        substr(new.instance_id, instr(new.instance_id, '/') + 1), new.message);
    DELETE FROM inbox WHERE number = new.number;
END;
