-- Statements for flows, in the form of queries.sql: what has led to what (model.causes).

-- flow: events and messages that these causes have led to, oldest first
SELECT kind, place, id, at, cause, key, type FROM (
    SELECT 'event' AS kind, topic AS place, event_id AS id, published_at AS at, cause,
        event_key AS key, type, position AS number
    FROM hub.event WHERE cause = ANY (:causes::text[])
    UNION ALL
    SELECT 'message', queue, message_id, queued_at, cause, NULL, NULL, number
    FROM hub.queued WHERE cause = ANY (:causes::text[])
    UNION ALL
    SELECT 'message', name, message_id, failed_at, cause, NULL, NULL, number
    FROM hub.failed_delivery WHERE source = 'queue' AND cause = ANY (:causes::text[])) AS found
ORDER BY at, number LIMIT :limit;

-- flow_event: one event; of one that was put aside the content tells its type
SELECT 'event' AS kind, topic AS place, event_id AS id, published_at AS at, cause,
    event_key AS key, type, NULL AS content
FROM hub.event WHERE topic = :place AND event_id = :id
UNION ALL
SELECT 'event', name, message_id, failed_at, cause, event_key, NULL, content
FROM hub.failed_delivery WHERE source = 'topic' AND name = :place AND message_id = :id
LIMIT 1;

-- flow_message: one message, waiting or put aside
SELECT 'message' AS kind, queue AS place, message_id AS id, queued_at AS at, cause,
    NULL AS key, NULL AS type, NULL AS content
FROM hub.queued WHERE queue = :place AND message_id = :id
UNION ALL
SELECT 'message', name, message_id, failed_at, cause, NULL, NULL, NULL
FROM hub.failed_delivery WHERE source = 'queue' AND name = :place AND message_id = :id
LIMIT 1;

-- flow_instances: instances that these causes have started, or called, oldest first
SELECT instance_id, coalesce(cause, 'instance:' || parent_id) AS cause, name, status,
    created_at AS at, completed_at AS ended_at, held, failure
FROM hub.instance WHERE iid IN (
    SELECT iid FROM hub.instance WHERE cause = ANY (:causes::text[])
    UNION
    SELECT iid FROM hub.instance WHERE parent_id = ANY (:parents::text[]))
ORDER BY created_at, iid LIMIT :limit;

-- flow_instance: one instance
SELECT instance_id, coalesce(cause, 'instance:' || parent_id) AS cause, name, status,
    created_at AS at, completed_at AS ended_at, held, failure
FROM hub.instance WHERE instance_id = :instance_id;

-- flow_failures: deliveries of these events and messages that were put aside, oldest first
SELECT wanted.cause, function, number, attempts, failed_at AS at, error
FROM unnest(:causes::text[], :sources::text[], :places::text[], :ids::text[])
    AS wanted (cause, source, place, id)
JOIN hub.failed_delivery ON failed_delivery.source = wanted.source
    AND failed_delivery.name = wanted.place AND failed_delivery.message_id = wanted.id
ORDER BY number LIMIT :limit;
