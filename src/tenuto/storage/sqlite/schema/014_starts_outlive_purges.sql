-- A start that waits in the inbox is for the id, not for the instance that has it now: it outlives
-- the purge of that instance, and so does whatever was sent after it. But for the start of the very
-- execution that is purged, which names it.
DROP TRIGGER purge_instances_run;

CREATE VIEW purged_message AS
    SELECT inbox.number, inbox.message_id, inbox.instance_id, inbox.message, instance.iid
    FROM instance CROSS JOIN inbox ON inbox.instance_id = instance.instance_id
    WHERE NOT EXISTS (
        SELECT 1 FROM inbox AS another
        WHERE another.instance_id = inbox.instance_id AND another.number <= inbox.number
            AND another.message ->> '$.type' = 'Start'
            AND instr(another.message, instance.execution_id) = 0);

CREATE TRIGGER purge_instances_run INSTEAD OF INSERT ON purge_instances BEGIN
    INSERT OR IGNORE INTO answer (message_id, code, text)
        SELECT gone.message_id, 'TN-1202',
            'instance ' || json_quote(gone.instance_id) || ' was purged meanwhile'
        FROM json_each(new.iids) AS purged
        CROSS JOIN purged_message AS gone ON gone.iid = purged.value
        WHERE gone.message ->> '$.awaitsAnswer';
    DELETE FROM inbox WHERE number IN (
        SELECT gone.number FROM json_each(new.iids) AS purged
        CROSS JOIN purged_message AS gone ON gone.iid = purged.value);
    DELETE FROM history WHERE id IN (
        SELECT history.id FROM json_each(new.iids) AS purged
        CROSS JOIN history ON history.iid = purged.value);
    DELETE FROM unread WHERE iid IN (SELECT value FROM json_each(new.iids));
    DELETE FROM link WHERE iid IN (SELECT value FROM json_each(new.iids));
    DELETE FROM topic_wait WHERE iid IN (SELECT value FROM json_each(new.iids));
    DELETE FROM instance WHERE iid IN (SELECT value FROM json_each(new.iids));
END;
