-- Topics and queues. A topic is a log of events that each of its subscriptions reads at its own pace;
-- a queue hands each message to one worker. ``position`` counts over all topics, in the order of
-- commits: AUTOINCREMENT never gives one twice, so a place never goes back. ``cause`` is what has led
-- to an event or a message (model.causes).
CREATE TABLE event (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id     TEXT NOT NULL,
    topic        TEXT NOT NULL,
    event_key    TEXT,
    published_at INTEGER NOT NULL,
    cause        TEXT,
    event        TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX event_of_topic ON event (topic, event_id);
CREATE INDEX event_in_order ON event (topic, position);
CREATE INDEX event_by_key ON event (topic, event_key, position) WHERE event_key IS NOT NULL;
CREATE INDEX event_by_cause ON event (cause) WHERE cause IS NOT NULL;

-- How far each subscription is: everything up to ``position`` is done with, and what ``done`` lists
-- (a JSON array of positions after it).
CREATE TABLE subscription (
    name       TEXT PRIMARY KEY,
    topic      TEXT NOT NULL,
    position   INTEGER NOT NULL,
    done       TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- ``attempts`` counts those that have begun, so that a message that ends its host is seen.
CREATE TABLE queued (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL,
    queue      TEXT NOT NULL,
    visible_at INTEGER NOT NULL,
    queued_at  INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    cause      TEXT,
    data       TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX queued_message ON queued (queue, message_id);
CREATE INDEX queued_in_order ON queued (queue, visible_at, number);
CREATE INDEX queued_by_cause ON queued (cause) WHERE cause IS NOT NULL;

-- Deliveries that were put aside: their function has failed in each attempt.
CREATE TABLE failed_delivery (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    source     TEXT NOT NULL,
    name       TEXT NOT NULL,
    function   TEXT NOT NULL,
    message_id TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    failed_at  INTEGER NOT NULL,
    error      TEXT NOT NULL,
    cause      TEXT,
    event_key  TEXT,
    content    TEXT NOT NULL
) STRICT;

CREATE INDEX failed_delivery_of ON failed_delivery (source, name, function, number);

-- Events that were put aside and are given to their subscription again.
CREATE TABLE redelivery (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    topic        TEXT NOT NULL,
    event_key    TEXT,
    published_at INTEGER NOT NULL,
    cause        TEXT,
    event        TEXT NOT NULL
) STRICT;

CREATE INDEX redelivery_of ON redelivery (subscription, number);

-- Which instances an event or a message has started.
CREATE INDEX instance_by_cause ON instance (tags ->> '$."tenuto.cause"')
    WHERE tags IS NOT NULL AND tags ->> '$."tenuto.cause"' IS NOT NULL;

-- What instances wait for: an event of a topic with this key, after this position.
CREATE TABLE topic_wait (
    iid       INTEGER NOT NULL,
    task_id   INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    topic     TEXT NOT NULL,
    event_key TEXT NOT NULL,
    after     INTEGER NOT NULL,
    PRIMARY KEY (iid, task_id)
) STRICT;

CREATE INDEX topic_wait_for ON topic_wait (topic, event_key);
CREATE INDEX topic_wait_of ON topic_wait (partition);

CREATE VIEW add_published AS SELECT NULL AS events;

CREATE TRIGGER add_published_run INSTEAD OF INSERT ON add_published BEGIN
    INSERT OR IGNORE INTO event (event_id, topic, event_key, published_at, cause, event)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value -> 6
        FROM jsonb_each(new.events);
END;

CREATE VIEW add_queued AS SELECT NULL AS messages;

CREATE TRIGGER add_queued_run INSTEAD OF INSERT ON add_queued BEGIN
    INSERT OR IGNORE INTO queued (message_id, queue, visible_at, queued_at, cause, data)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 6
        FROM jsonb_each(new.messages);
END;

-- A row without a topic is a wait that is over; with task -1 it stands for all of an instance.
CREATE VIEW change_topic_waits AS SELECT NULL AS changes;

CREATE TRIGGER change_topic_waits_run INSTEAD OF INSERT ON change_topic_waits BEGIN
    DELETE FROM topic_wait WHERE rowid IN (
        SELECT topic_wait.rowid FROM jsonb_each(new.changes) AS over CROSS JOIN topic_wait
            ON topic_wait.iid = over.value ->> 0
            AND (over.value ->> 1 = -1 OR topic_wait.task_id = over.value ->> 1)
        WHERE json_type(over.value, '$[3]') = 'null');
    INSERT OR REPLACE INTO topic_wait (iid, task_id, partition, topic, event_key, after)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
        FROM jsonb_each(new.changes) WHERE json_type(value, '$[3]') <> 'null';
END;

-- What an instance waits for of topics goes with it.
DROP TRIGGER purge_instances_run;

CREATE TRIGGER purge_instances_run INSTEAD OF INSERT ON purge_instances BEGIN
    INSERT OR IGNORE INTO answer (message_id, code, text)
        SELECT inbox.message_id, 'TN-1202',
            'instance ' || json_quote(inbox.instance_id) || ' was purged meanwhile'
        FROM json_each(new.iids) AS purged
        CROSS JOIN instance ON instance.iid = purged.value
        CROSS JOIN inbox ON inbox.instance_id = instance.instance_id
        WHERE inbox.message ->> '$.awaitsAnswer';
    DELETE FROM inbox WHERE number IN (
        SELECT inbox.number FROM json_each(new.iids) AS purged
        CROSS JOIN instance ON instance.iid = purged.value
        CROSS JOIN inbox ON inbox.instance_id = instance.instance_id);
    DELETE FROM history WHERE id IN (
        SELECT history.id FROM json_each(new.iids) AS purged
        CROSS JOIN history ON history.iid = purged.value);
    DELETE FROM unread WHERE iid IN (SELECT value FROM json_each(new.iids));
    DELETE FROM link WHERE iid IN (SELECT value FROM json_each(new.iids));
    DELETE FROM topic_wait WHERE iid IN (SELECT value FROM json_each(new.iids));
    DELETE FROM instance WHERE iid IN (SELECT value FROM json_each(new.iids));
END;

DROP TRIGGER replace_instances_run;

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
    DELETE FROM link WHERE iid IN (
        SELECT instance.iid FROM jsonb_each(new.records) AS record
        CROSS JOIN instance ON instance.instance_id = record.value ->> 'instanceId'
            AND instance.iid <> record.value ->> 'iid');
    DELETE FROM topic_wait WHERE iid IN (
        SELECT instance.iid FROM jsonb_each(new.records) AS record
        CROSS JOIN instance ON instance.instance_id = record.value ->> 'instanceId'
            AND instance.iid <> record.value ->> 'iid');
    DELETE FROM instance
        WHERE instance_id IN (SELECT value ->> 'instanceId' FROM jsonb_each(new.records));
END;

-- A commit publishes, queues, and notes what instances wait for.
DROP TRIGGER commit_batch_run;
DROP VIEW commit_batch;

CREATE VIEW commit_batch AS
SELECT NULL AS batch_id, NULL AS owner, NULL AS number, NULL AS refused, NULL AS fences,
    NULL AS purged, NULL AS instances, NULL AS replaced, NULL AS updates, NULL AS history,
    NULL AS forget, NULL AS unread, NULL AS links, NULL AS inbox, NULL AS consumed,
    NULL AS dead_letters, NULL AS answers, NULL AS released, NULL AS published, NULL AS queued,
    NULL AS topic_waits;

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
    INSERT INTO change_links SELECT new.links WHERE new.links IS NOT NULL;
    INSERT INTO change_topic_waits SELECT new.topic_waits WHERE new.topic_waits IS NOT NULL;
    INSERT INTO add_published SELECT new.published WHERE new.published IS NOT NULL;
    INSERT INTO add_queued SELECT new.queued WHERE new.queued IS NOT NULL;

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
