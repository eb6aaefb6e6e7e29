-- The tables of a task hub. Columns that stay small come first, so that listings never read
-- payloads. Times are microseconds since 1970 UTC. Statuses are the numbers of RuntimeStatus;
-- 1, 3, 4 and 5 are the finished ones.

CREATE TABLE hub (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    partitions INTEGER NOT NULL,
    last_iid   INTEGER NOT NULL DEFAULT 0 -- up to this one they are given out
) STRICT;

-- The fence: owner and epoch of the partitions that a commit touches must match (ENGINE rule 39).
CREATE TABLE partition (
    partition INTEGER PRIMARY KEY,
    owner     TEXT,
    epoch     INTEGER NOT NULL DEFAULT 0,
    served    INTEGER NOT NULL DEFAULT 0, -- whether its owner has served for a while
    deaths    INTEGER NOT NULL DEFAULT 0  -- owners in a row that died before they had
) STRICT;

-- The last commit of each owner, of the one before too: so a batch lands once, and whoever doubts
-- can ask (ENGINE rule 15). ``refused`` are iids whose instance ids were taken.
CREATE TABLE landed (
    owner    TEXT PRIMARY KEY,
    number   INTEGER NOT NULL DEFAULT 0,
    batch_id TEXT,
    refused  TEXT
) STRICT;

-- Owners have positive iids, out of what was reserved for them; an instance from outside has iid = -(its arrival number).
CREATE TABLE instance (
    iid           INTEGER PRIMARY KEY,
    partition     INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    wake_at       INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    completed_at  INTEGER,
    scheduled_at  INTEGER,
    generation    INTEGER NOT NULL,
    depth         INTEGER NOT NULL,
    instance_id   TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    version       TEXT,
    execution_id  TEXT NOT NULL,
    root_id       TEXT NOT NULL,
    parent        TEXT,
    tags          TEXT,
    trace         TEXT,
    custom_status TEXT,
    held          TEXT,
    deliveries    INTEGER NOT NULL,
    failure       TEXT,
    output        TEXT,
    input         TEXT
) STRICT;

CREATE INDEX instance_wake ON instance (partition, wake_at)
    WHERE wake_at IS NOT NULL;
CREATE INDEX instance_open_child ON instance (partition, root_id)
    WHERE depth > 0 AND status NOT IN (1, 3, 4, 5);
CREATE INDEX instance_held ON instance (partition) WHERE held IS NOT NULL;
CREATE INDEX instance_created ON instance (created_at);
CREATE INDEX instance_completed ON instance (completed_at) WHERE completed_at IS NOT NULL;
-- Instances that nobody has called cost nothing here.
CREATE INDEX instance_parent ON instance (json_extract(parent, '$.instanceId'))
    WHERE parent IS NOT NULL;

-- One row per turn. Rows are appended and found through an index: three to five times faster than
-- rows kept together by instance.
CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    iid        INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    turn       INTEGER NOT NULL,
    events     TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX history_turn ON history (iid, generation, turn);

-- Events that nobody has read when an instance continues as new. They stay here, so that a
-- generation costs no more for them; they belong to the beginning of the current generation.
CREATE TABLE unread (
    iid    INTEGER NOT NULL,
    number INTEGER NOT NULL,
    event  TEXT NOT NULL,
    PRIMARY KEY (iid, number)
) STRICT;

-- ``number`` is the arrival number: AUTOINCREMENT never gives one twice, so a cursor over it never
-- goes back. Instances from outside draw theirs from the same sequence.
CREATE TABLE inbox (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id  TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    message     TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX inbox_message ON inbox (message_id, partition);
CREATE INDEX inbox_instance ON inbox (instance_id);
INSERT INTO sqlite_sequence (name, seq) VALUES ('inbox', 0);

CREATE TABLE dead_letter (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id  TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    reason      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    message     TEXT NOT NULL
) STRICT;

-- What became of messages whose senders, in other processes, wait for an answer. The newest 10,000
-- are kept: each is read within milliseconds.
CREATE TABLE answer (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    code       TEXT,
    text       TEXT NOT NULL
) STRICT;

-- An instance as the JSON form of InstanceRecord. A whole result leaves SQLite as one value,
-- because each row fetched costs a wait for the interpreter lock (ENGINE rule 23).
CREATE VIEW instance_summary AS
SELECT iid, instance_id, json_object(
    'iid', iid, 'instanceId', instance_id, 'partition', partition, 'name', name,
    'executionId', execution_id, 'createdAt', created_at, 'rootId', root_id, 'version', version,
    'generation', generation, 'status', status, 'wakeAt', wake_at, 'updatedAt', updated_at,
    'completedAt', completed_at, 'scheduledAt', scheduled_at, 'parent', json(parent),
    'depth', depth, 'failure', json(failure), 'customStatus', custom_status, 'tags', json(tags),
    'trace', json(trace), 'hold', json(held), 'deliveries', deliveries
) AS record
FROM instance;

CREATE VIEW instance_record AS
SELECT instance.iid, instance.instance_id,
    json_insert(summary.record, '$.input', instance.input, '$.output', instance.output) AS record
FROM instance JOIN instance_summary AS summary ON summary.iid = instance.iid;

-- Stored procedures: an INSERT into one of these views runs its trigger. So a commit is a single
-- statement, a single step, which is a whole transaction; each further step would queue for the
-- interpreter lock. Arguments are JSON arrays, NULL when empty. CROSS JOIN keeps the array as the
-- outer loop.

CREATE VIEW add_answers AS SELECT NULL AS answers;

CREATE TRIGGER add_answers_run INSTEAD OF INSERT ON add_answers BEGIN
    INSERT OR REPLACE INTO answer (message_id, code, text)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(new.answers);
    DELETE FROM answer WHERE number <= (SELECT max(number) FROM answer) - 10000;
END;

-- A message that goes with its instance is answered when somebody waits for that: its instance is
-- not there any more.
CREATE VIEW purge_instances AS SELECT NULL AS iids;

CREATE TRIGGER purge_instances_run INSTEAD OF INSERT ON purge_instances BEGIN
    INSERT OR IGNORE INTO answer (message_id, code, text)
        SELECT inbox.message_id, 'TN-1202',
            'instance ' || json_quote(inbox.instance_id) || ' was purged meanwhile'
        FROM json_each(new.iids) AS purged
        CROSS JOIN instance ON instance.iid = purged.value
        CROSS JOIN inbox ON inbox.instance_id = instance.instance_id
        WHERE inbox.message_id GLOB 'asked-*';
    DELETE FROM inbox WHERE number IN (
        SELECT inbox.number FROM json_each(new.iids) AS purged
        CROSS JOIN instance ON instance.iid = purged.value
        CROSS JOIN inbox ON inbox.instance_id = instance.instance_id);
    DELETE FROM history WHERE id IN (
        SELECT history.id FROM json_each(new.iids) AS purged
        CROSS JOIN history ON history.iid = purged.value);
    DELETE FROM unread WHERE iid IN (SELECT value FROM json_each(new.iids));
    DELETE FROM instance WHERE iid IN (SELECT value FROM json_each(new.iids));
END;

-- Makes room for rows that are written anew; when the id stood under another iid, that one's
-- history goes too.
CREATE VIEW replace_instances AS SELECT NULL AS records;

CREATE TRIGGER replace_instances_run INSTEAD OF INSERT ON replace_instances BEGIN
    DELETE FROM history WHERE id IN (
        SELECT history.id FROM jsonb_each(new.records) AS record
        CROSS JOIN instance ON instance.instance_id = record.value ->> 'instanceId'
            AND instance.iid <> record.value ->> 'iid'
        CROSS JOIN history ON history.iid = instance.iid);
    DELETE FROM unread WHERE iid IN (
        SELECT instance.iid FROM jsonb_each(new.records) AS record
        CROSS JOIN instance ON instance.instance_id = record.value ->> 'instanceId'
            AND instance.iid <> record.value ->> 'iid');
    DELETE FROM instance
        WHERE instance_id IN (SELECT value ->> 'instanceId' FROM jsonb_each(new.records));
END;

-- A row whose event is null was taken.
CREATE VIEW change_unread AS SELECT NULL AS changes;

CREATE TRIGGER change_unread_run INSTEAD OF INSERT ON change_unread BEGIN
    DELETE FROM unread WHERE rowid IN (
        SELECT unread.rowid FROM jsonb_each(new.changes) AS taken CROSS JOIN unread
            ON unread.iid = taken.value ->> 0
            AND (taken.value ->> 1 = -1 OR unread.number = taken.value ->> 1)
        WHERE json_type(taken.value, '$[2]') = 'null');
    INSERT OR REPLACE INTO unread (iid, number, event)
        SELECT value ->> 0, value ->> 1, value -> 2 FROM jsonb_each(new.changes)
        WHERE json_type(value, '$[2]') <> 'null';
END;

-- The newest 10,000 dead letters are kept, for 30 days.
CREATE VIEW add_dead_letters AS SELECT NULL AS letters;

CREATE TRIGGER add_dead_letters_run INSTEAD OF INSERT ON add_dead_letters BEGIN
    INSERT INTO dead_letter (message_id, instance_id, reason, created_at, message)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4
        FROM jsonb_each(new.letters);
    DELETE FROM dead_letter WHERE number <= (SELECT max(number) FROM dead_letter) - 10000;
    DELETE FROM dead_letter
        WHERE created_at < (SELECT max(created_at) FROM dead_letter) - 30 * 86400 * 1000000;
END;

CREATE VIEW commit_batch AS
SELECT NULL AS batch_id, NULL AS owner, NULL AS number, NULL AS refused, NULL AS fences,
    NULL AS purged, NULL AS instances, NULL AS replaced, NULL AS updates, NULL AS history,
    NULL AS forget, NULL AS unread, NULL AS inbox, NULL AS consumed, NULL AS dead_letters,
    NULL AS answers, NULL AS released;

CREATE TRIGGER commit_batch_run INSTEAD OF INSERT ON commit_batch BEGIN
    UPDATE landed SET number = new.number, batch_id = new.batch_id, refused = new.refused
        WHERE owner = new.owner AND number = new.number - 1;
    SELECT raise(ABORT, 'fenced') WHERE new.owner IS NOT NULL AND changes() <> 1;
    SELECT raise(ABORT, 'fenced') FROM jsonb_each(new.fences) AS fence
        LEFT JOIN partition ON partition = fence.value ->> 0 AND owner = fence.value ->> 1
            AND epoch = fence.value ->> 2
        WHERE epoch IS NULL;

    -- Before the inserts, because an id may be purged and started anew in one batch ...
    INSERT INTO purge_instances SELECT new.purged WHERE new.purged IS NOT NULL;
    INSERT INTO replace_instances SELECT new.replaced WHERE new.replaced IS NOT NULL;

    -- In the JSON form a left-out field has its default, which is not NULL in these columns.
    INSERT INTO instance (
        iid, partition, status, wake_at, created_at, updated_at, completed_at, scheduled_at,
        generation, depth, instance_id, name, version, execution_id, root_id, parent, tags,
        trace, custom_status, held, deliveries, failure, output, input)
    SELECT
        value ->> 'iid', value ->> 'partition', coalesce(value ->> 'status', 6),
        iif(value -> 'wakeAt' IS NULL, 0, value ->> 'wakeAt'),
        value ->> 'createdAt', coalesce(value ->> 'updatedAt', 0), value ->> 'completedAt',
        value ->> 'scheduledAt', coalesce(value ->> 'generation', 0),
        coalesce(value ->> 'depth', 0), value ->> 'instanceId', value ->> 'name',
        value ->> 'version', value ->> 'executionId', value ->> 'rootId', value ->> 'parent',
        value ->> 'tags', value ->> 'trace', value ->> 'customStatus', value ->> 'hold',
        coalesce(value ->> 'deliveries', 0), value ->> 'failure', value ->> 'output',
        value ->> 'input'
    FROM (
        SELECT value FROM jsonb_each(new.instances)
        UNION ALL SELECT value FROM jsonb_each(new.replaced));

    UPDATE instance SET
        status = changed.value ->> 1, wake_at = changed.value ->> 2,
        updated_at = changed.value ->> 3, completed_at = changed.value ->> 4,
        output = changed.value ->> 5, failure = changed.value ->> 6,
        custom_status = changed.value ->> 7, held = changed.value ->> 8
        FROM jsonb_each(new.updates) AS changed WHERE iid = changed.value ->> 0;

    INSERT INTO history (iid, generation, turn, events)
        SELECT value ->> 0, value ->> 1, value ->> 2, value -> 3 FROM jsonb_each(new.history);
    DELETE FROM history WHERE id IN (
        SELECT history.id FROM jsonb_each(new.forget) AS old CROSS JOIN history
            ON history.iid = old.value ->> 0 AND history.generation < old.value ->> 1);

    INSERT INTO change_unread SELECT new.unread WHERE new.unread IS NOT NULL;

    INSERT OR IGNORE INTO inbox (message_id, partition, instance_id, message)
        SELECT value ->> 0, value ->> 1, value ->> 2, value -> 3 FROM jsonb_each(new.inbox);
    DELETE FROM inbox WHERE number IN (
        SELECT inbox.number FROM jsonb_each(new.consumed) AS used
        CROSS JOIN inbox ON inbox.message_id = used.value ->> 1
            AND inbox.partition = used.value ->> 0);

    -- ... and after them, because one may be started and purged in one batch.
    INSERT INTO purge_instances SELECT new.purged WHERE new.purged IS NOT NULL;
    INSERT INTO add_dead_letters SELECT new.dead_letters WHERE new.dead_letters IS NOT NULL;
    INSERT INTO add_answers SELECT new.answers WHERE new.answers IS NOT NULL;

    UPDATE partition SET owner = NULL
        WHERE partition IN (SELECT value FROM json_each(new.released)) AND owner = new.owner;
END;
