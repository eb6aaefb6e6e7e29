-- A start that waits in the inbox is for the id, not for the instance that has it now: it outlives
-- the purge of that instance, and so does whatever was sent after it. But for the start of the very
-- execution that is purged, which names it.
CREATE OR REPLACE FUNCTION hub.purge(iids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ids text[];
    gone bigint[];
BEGIN
    SELECT array_agg(instance_id) INTO ids FROM hub.instance WHERE iid = ANY (iids);
    SELECT array_agg(message.number) INTO gone
        FROM hub.inbox AS message
        JOIN hub.instance AS instance ON instance.instance_id = message.instance_id
        WHERE instance.iid = ANY (iids) AND NOT EXISTS (
            SELECT 1 FROM hub.inbox AS another
            WHERE another.instance_id = message.instance_id AND another.kind = 'Start'
                AND another.number <= message.number
                AND position(convert_to(instance.execution_id, 'UTF8') IN another.message) = 0);
    INSERT INTO hub.answer (message_id, code, text)
        SELECT message_id, 'TN-1202', to_json(
            'instance ' || to_json(instance_id)::text || ' was purged meanwhile')::text
        FROM hub.inbox WHERE instance_id = ANY (ids) AND number = ANY (gone) AND awaits_answer
        ON CONFLICT DO NOTHING;
    DELETE FROM hub.inbox WHERE instance_id = ANY (ids) AND number = ANY (gone);
    DELETE FROM hub.history WHERE iid = ANY (iids);
    DELETE FROM hub.unread WHERE iid = ANY (iids);
    DELETE FROM hub.link WHERE iid = ANY (iids);
    DELETE FROM hub.topic_wait WHERE iid = ANY (iids);
    DELETE FROM hub.instance WHERE iid = ANY (iids);
END $$;
