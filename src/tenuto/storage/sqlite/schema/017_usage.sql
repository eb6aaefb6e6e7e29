-- What functions have used up, by day (since 1970, UTC), app, function and value of the tag. Rows are
-- added to by the very commits that hold the turns, so a turn counts once, or not at all. Times are
-- microseconds, ``memory`` is mebibytes times microseconds.
CREATE TABLE usage (
    day        INTEGER NOT NULL,
    app        TEXT NOT NULL,
    kind       TEXT NOT NULL,
    function   TEXT NOT NULL,
    tag        TEXT NOT NULL,
    executions INTEGER NOT NULL,
    running    INTEGER NOT NULL,
    processor  INTEGER NOT NULL,
    waiting    INTEGER NOT NULL,
    memory     INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    PRIMARY KEY (day, app, kind, function, tag)
) STRICT, WITHOUT ROWID;

-- A commit adds what it has used.
DROP TRIGGER commit_batch_run;
DROP VIEW commit_batch;

CREATE VIEW commit_batch AS
SELECT NULL AS batch_id, NULL AS owner, NULL AS number, NULL AS refused, NULL AS fences,
    NULL AS purged, NULL AS instances, NULL AS replaced, NULL AS updates, NULL AS history,
    NULL AS forget, NULL AS unread, NULL AS links, NULL AS inbox, NULL AS consumed,
    NULL AS dead_letters, NULL AS answers, NULL AS released, NULL AS published, NULL AS queued,
    NULL AS topic_waits, NULL AS usage;

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

    INSERT INTO usage (
        day, app, kind, function, tag, executions, running, processor, waiting, memory, operations,
        bytes)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
            value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
        FROM jsonb_each(new.usage) WHERE TRUE
        ON CONFLICT DO UPDATE SET
            executions = executions + excluded.executions, running = running + excluded.running,
            processor = processor + excluded.processor, waiting = waiting + excluded.waiting,
            memory = memory + excluded.memory, operations = operations + excluded.operations,
            bytes = bytes + excluded.bytes;

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
