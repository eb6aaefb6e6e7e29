-- Statements for flows, in the form of queries.sql: what has led to what (model.causes).

-- flow: events and messages that these causes have led to, oldest first; the type of an event stands
-- in its content, which is read of as many as fit, one at least
WITH found AS MATERIALIZED (
    SELECT 'event' AS source, position AS number, published_at AS at, octet_length(event) AS size
    FROM event WHERE cause IN (SELECT value FROM json_each(:causes))
    UNION ALL
    SELECT 'queued', number, queued_at, 0
    FROM queued WHERE cause IN (SELECT value FROM json_each(:causes))
    UNION ALL
    SELECT 'failed', number, failed_at, 0
    FROM failed_delivery
    WHERE cause IN (SELECT value FROM json_each(:causes)) AND source = 'queue'
    ORDER BY at, number LIMIT :limit),
measured AS MATERIALIZED (
    SELECT source, number, at,
        sum(size) OVER (ORDER BY at, number ROWS UNBOUNDED PRECEDING) - size AS before
    FROM found)
SELECT json_group_array(json(one)) FROM (
    SELECT CASE source
        WHEN 'event' THEN (
            SELECT json_object('kind', 'event', 'place', topic, 'id', event_id, 'at', at,
                'cause', cause, 'key', event_key,
                'type', iif(before < :most_bytes OR before = 0, event ->> '$.type', NULL))
            FROM event WHERE position = measured.number)
        WHEN 'queued' THEN (
            SELECT json_object('kind', 'message', 'place', queue, 'id', message_id, 'at', at,
                'cause', cause)
            FROM queued WHERE queued.number = measured.number)
        ELSE (
            SELECT json_object('kind', 'message', 'place', name, 'id', message_id, 'at', at,
                'cause', cause)
            FROM failed_delivery WHERE failed_delivery.number = measured.number) END AS one
    FROM measured ORDER BY at, number);

-- flow_event: one event
SELECT json_object('kind', 'event', 'place', topic, 'id', event_id, 'at', published_at,
    'cause', cause, 'key', event_key, 'type', event ->> '$.type')
FROM event WHERE topic = :place AND event_id = :id
UNION ALL
SELECT json_object('kind', 'event', 'place', name, 'id', message_id, 'at', failed_at,
    'cause', cause, 'key', event_key, 'type', content ->> '$.type')
FROM failed_delivery WHERE source = 'topic' AND name = :place AND message_id = :id
LIMIT 1;

-- flow_message: one message, waiting or put aside
SELECT json_object('kind', 'message', 'place', queue, 'id', message_id, 'at', queued_at,
    'cause', cause)
FROM queued WHERE queue = :place AND message_id = :id
UNION ALL
SELECT json_object('kind', 'message', 'place', name, 'id', message_id, 'at', failed_at,
    'cause', cause)
FROM failed_delivery WHERE source = 'queue' AND name = :place AND message_id = :id
LIMIT 1;

-- flow_instances: instances that these causes have started, or called, oldest first
SELECT json_group_array(json_object('instance_id', instance_id,
    'cause', coalesce(tags ->> '$."tenuto.cause"', 'instance:' || (parent ->> '$.instanceId')),
    'name', name, 'status', status, 'at', created_at, 'ended_at', completed_at,
    'hold', json(held), 'failure', json(failure)))
FROM (
    SELECT * FROM instance WHERE iid IN (
        SELECT iid FROM instance
        WHERE tags IS NOT NULL AND tags ->> '$."tenuto.cause"' IS NOT NULL
            AND tags ->> '$."tenuto.cause"' IN (SELECT value FROM json_each(:causes))
        UNION
        SELECT iid FROM instance
        WHERE parent IS NOT NULL AND json_extract(parent, '$.instanceId') IN (
            SELECT substr(value, 10) FROM json_each(:causes) WHERE value LIKE 'instance:%'))
    ORDER BY created_at, iid LIMIT :limit);

-- flow_instance: one instance
SELECT json_object('instance_id', instance_id,
    'cause', coalesce(tags ->> '$."tenuto.cause"', 'instance:' || (parent ->> '$.instanceId')),
    'name', name, 'status', status, 'at', created_at, 'ended_at', completed_at,
    'hold', json(held), 'failure', json(failure))
FROM instance WHERE instance_id = :instance_id;

-- flow_failures: deliveries of these events and messages that were put aside, oldest first
SELECT json_group_array(json(one)) FROM (
    SELECT json_object('cause', wanted.value,
        'function', function, 'number', number, 'attempts', attempts, 'at', failed_at,
        'error', error) AS one
    FROM json_each(:causes) AS wanted CROSS JOIN failed_delivery
        ON source = iif(wanted.value LIKE 'event:%', 'topic', 'queue')
        AND name = substr(wanted.value, instr(wanted.value, ':') + 1,
            instr(wanted.value, '/') - instr(wanted.value, ':') - 1)
        AND message_id = substr(wanted.value, instr(wanted.value, '/') + 1)
    WHERE wanted.value LIKE 'event:%' OR wanted.value LIKE 'message:%'
    ORDER BY number LIMIT :limit);
