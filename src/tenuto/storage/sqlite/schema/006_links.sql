-- Links that people open: what their pages show, by the digest of the token. ``is_open`` says whether
-- one may still be used; what counts is decided by the instance's turn.
CREATE TABLE link (
    number  INTEGER PRIMARY KEY,
    iid     INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    digest  TEXT NOT NULL UNIQUE,
    link    TEXT NOT NULL
) STRICT;

CREATE INDEX link_instance ON link (iid, is_open, number);

-- Of those that are closed the newest hundred of an instance are kept: who opens one again is told
-- what was answered.
CREATE VIEW change_links AS SELECT NULL AS changes;

CREATE TRIGGER change_links_run INSTEAD OF INSERT ON change_links BEGIN
    INSERT INTO link (iid, digest, is_open, link)
        SELECT value ->> 0, value ->> 1, value ->> 2, value -> 3 FROM jsonb_each(new.changes)
        WHERE TRUE
        ON CONFLICT (digest) DO UPDATE SET is_open = excluded.is_open, link = excluded.link;
    DELETE FROM link WHERE number IN (
        SELECT old.number FROM (SELECT DISTINCT value ->> 0 AS iid FROM jsonb_each(new.changes)) AS one
        CROSS JOIN link AS old ON old.iid = one.iid AND old.is_open = 0
            AND old.number <= (
                SELECT number FROM link WHERE link.iid = one.iid AND link.is_open = 0
                ORDER BY number DESC LIMIT 1 OFFSET 100));
END;

-- A link goes with its instance.
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
    DELETE FROM instance
        WHERE instance_id IN (SELECT value ->> 'instanceId' FROM jsonb_each(new.records));
END;

-- A commit writes links, too.
DROP TRIGGER commit_batch_run;
DROP VIEW commit_batch;

CREATE VIEW commit_batch AS
SELECT NULL AS batch_id, NULL AS owner, NULL AS number, NULL AS refused, NULL AS fences,
    NULL AS purged, NULL AS instances, NULL AS replaced, NULL AS updates, NULL AS history,
    NULL AS forget, NULL AS unread, NULL AS links, NULL AS inbox, NULL AS consumed,
    NULL AS dead_letters, NULL AS answers, NULL AS released;

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
