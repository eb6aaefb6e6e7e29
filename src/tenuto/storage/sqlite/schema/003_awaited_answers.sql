-- Whether the sender of a message waits for an answer stands in the message, not in its name.
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
    DELETE FROM instance WHERE iid IN (SELECT value FROM json_each(new.iids));
END;

-- Those that wait now were named by it.
UPDATE inbox SET message = json_set(message, '$.awaitsAnswer', json('true'))
WHERE message_id GLOB 'asked-*';
