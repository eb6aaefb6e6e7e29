-- Statements for topics, in the form of queries.sql. An event is the JSON array of StoredEvent.

-- topic_list: how each topic stands
SELECT json_group_array(json_object(
    'name', topic, 'events', events, 'bytes', bytes, 'first', first, 'last', last))
FROM (
    SELECT topic, count(*) AS events, sum(octet_length(event)) AS bytes, min(published_at) AS first,
        max(published_at) AS last
    FROM event GROUP BY topic ORDER BY topic);

-- subscription_list: how each subscription stands
SELECT json_group_array(json_object(
    'name', one.name, 'topic', one.topic, 'position', one.position,
    'lag', max(0, (SELECT count(*) FROM event
            WHERE topic = one.topic AND position > one.position)
        - json_array_length(one.done)),
    'oldest', (SELECT published_at FROM event
        WHERE topic = one.topic AND position > one.position
            AND position NOT IN (SELECT value FROM json_each(one.done))
        ORDER BY position LIMIT 1),
    'failed', (SELECT count(*) FROM failed_delivery
        WHERE source = 'topic' AND failed_delivery.name = one.topic AND function = one.name),
    'updated_at', one.updated_at))
FROM (SELECT * FROM subscription ORDER BY name) AS one;

-- topic_events: events after a position, oldest first, as long as they fit, one at least
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(position, event_id, topic, event_key, published_at, cause, json(event))
        AS one
    FROM (
        SELECT *, sum(octet_length(event)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING)
            - octet_length(event) AS before
        FROM (SELECT * FROM event WHERE topic = :topic AND position > :after
            ORDER BY position LIMIT :limit))
    WHERE before < :most_bytes ORDER BY position);

-- newest_topic_events: the newest events of a topic, newest first
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(position, event_id, topic, event_key, published_at, cause, json(event))
        AS one
    FROM event WHERE topic = :topic ORDER BY position DESC LIMIT :limit);

-- topic_news: which topics have events after a position
SELECT json_array(coalesce(max(position), :cursor), json_group_array(DISTINCT topic))
FROM event WHERE position > :cursor;

-- last_position: that of the newest event there ever was
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0);

-- places: how far subscriptions are
SELECT json_group_array(json_array(name, topic, position, json(done))) FROM subscription
WHERE name IN (SELECT value FROM json_each(:names));

-- write_place: how far a subscription is, for who owns its partition; no row when that is another
INSERT INTO subscription (name, topic, position, done, updated_at)
SELECT :name, :topic, :position, :done, :updated_at FROM partition
WHERE partition = :partition AND owner = :owner AND epoch = :epoch
ON CONFLICT (name) DO UPDATE SET topic = excluded.topic, position = excluded.position,
    done = excluded.done, updated_at = excluded.updated_at
RETURNING 1;

-- add_failed: deliveries that are put aside
INSERT INTO failed_delivery (source, name, function, message_id, attempts, failed_at, error, cause,
    event_key, content)
SELECT value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
    value ->> 8, value ->> 9, value ->> 10
FROM json_each(:failed);

-- remove_subscription: forget a subscription; no row when there is none
DELETE FROM subscription WHERE name = :name RETURNING 1;

-- remove_failed_of: what was put aside for a subscription goes with it
DELETE FROM failed_delivery WHERE source = 'topic' AND function = :name;

-- remove_redeliveries_of: nor is anything given to it again
DELETE FROM redelivery WHERE subscription = :name;

-- failed_list: what was put aside, oldest first
SELECT json_group_array(json_array(number, source, name, function, message_id, attempts, failed_at,
    error, cause, event_key, content))
FROM (
    SELECT * FROM failed_delivery
    WHERE number > :after AND (:function IS NULL OR function = :function)
        AND (:source IS NULL OR source = :source) AND (:name IS NULL OR name = :name)
    ORDER BY number LIMIT :limit);

-- take_failed: it is put aside no more
DELETE FROM failed_delivery WHERE number IN (SELECT value FROM json_each(:numbers));

-- redrive_queued: messages are in their queue again, with all attempts
INSERT OR IGNORE INTO queued (message_id, queue, visible_at, queued_at, cause, data)
SELECT message_id, name, 0, failed_at, cause, content FROM failed_delivery
WHERE source = 'queue' AND number IN (SELECT value FROM json_each(:numbers)) ORDER BY number;

-- redrive_event: events are given to their subscription again, and to no other
INSERT INTO redelivery (subscription, event_id, topic, event_key, published_at, cause, event)
SELECT function, message_id, name, event_key,
    coalesce((SELECT published_at FROM event WHERE topic = name AND event_id = message_id),
        failed_at),
    cause, content
FROM failed_delivery WHERE source = 'topic' AND number IN (SELECT value FROM json_each(:numbers)) ORDER BY number;

-- redrive_files: files are given to their function again; no subscription is named so
INSERT INTO redelivery (subscription, event_id, topic, event_key, published_at, cause, event)
SELECT 'files/' || function, message_id, name, event_key, failed_at, cause, content
FROM failed_delivery
WHERE source = 'files' AND number IN (SELECT value FROM json_each(:numbers)) ORDER BY number;

-- redeliveries: events that were given back to a subscription, oldest first; below zero, so that
-- none has the position of an event
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(-number, event_id, topic, event_key, published_at, cause, json(event)) AS one
    FROM redelivery WHERE subscription = :name ORDER BY number LIMIT :limit);

-- end_redeliveries: they are done with
DELETE FROM redelivery WHERE number IN (SELECT -value FROM json_each(:positions));

-- trim_old: events of a topic that are older than a moment; the others of a page stay
DELETE FROM event WHERE position IN (
    SELECT position FROM event WHERE topic = :topic AND published_at < :before
    ORDER BY position LIMIT :limit);

-- trim_long: the oldest events of a topic, as long as those after them take more than so many bytes
DELETE FROM event WHERE position IN (
    SELECT position FROM (
        SELECT position,
            sum(octet_length(event)) OVER (ORDER BY position DESC ROWS UNBOUNDED PRECEDING) AS bytes
        FROM event WHERE topic = :topic)
    WHERE bytes > :most_bytes ORDER BY position LIMIT :limit);

-- topic_waits: what instances of these partitions wait for
SELECT json_group_array(json_array(iid, task_id, partition, topic, event_key, after))
FROM topic_wait WHERE partition IN (SELECT value FROM json_each(:partitions));

-- topic_matches_of: for these waits the first event that counts, as long as they fit, one at least;
-- how long the others are is known without reading them
WITH found AS MATERIALIZED (
    SELECT wanted.key AS place, wait.iid, wait.task_id, wait.partition, event.position,
        sum(octet_length(event.event)) OVER (ORDER BY wanted.key ROWS UNBOUNDED PRECEDING)
            - octet_length(event.event) AS before
    FROM json_each(:waits) AS wanted
    CROSS JOIN topic_wait AS wait ON wait.iid = wanted.value ->> 0
        AND wait.task_id = wanted.value ->> 1
    CROSS JOIN event ON event.position = (
        SELECT min(position) FROM event
        WHERE topic = wait.topic AND event_key = wait.event_key AND position > wait.after))
SELECT json_array(
    json(coalesce('[' || (SELECT group_concat(one, ',') FROM (
        SELECT json_array(found.iid, found.task_id, found.partition, instance.instance_id,
            instance.execution_id, json_array(event.position, event.event_id, event.topic,
                event.event_key, event.published_at, event.cause, json(event.event))) AS one
        FROM found
        CROSS JOIN instance ON instance.iid = found.iid
        CROSS JOIN event ON event.position = found.position
        WHERE before < :most_bytes ORDER BY place)) || ']', '[]')),
    json(iif(EXISTS (SELECT 1 FROM found WHERE before >= :most_bytes), 'true', 'false')));

-- topic_waits_since: waits that the events after a position are for
SELECT json_array(
    json(coalesce((SELECT json_group_array(json_array(iid, task_id)) FROM (
        SELECT wait.iid, wait.task_id
        FROM (SELECT * FROM event WHERE position > :cursor ORDER BY position LIMIT :limit) AS event
        CROSS JOIN topic_wait AS wait ON wait.topic = event.topic
            AND wait.event_key = event.event_key AND wait.after < event.position
        WHERE event.event_key IS NOT NULL
        GROUP BY wait.iid, wait.task_id ORDER BY min(event.position))), '[]')),
    coalesce((SELECT max(position) FROM (
        SELECT position FROM event WHERE position > :cursor ORDER BY position LIMIT :limit)),
        :cursor),
    json(iif((SELECT count(*) FROM (
        SELECT 1 FROM event WHERE position > :cursor ORDER BY position LIMIT :limit + 1)) > :limit,
        'true', 'false')));

-- flow: events and messages that these causes have led to, oldest first
SELECT json_group_array(json(one)) FROM (
    SELECT one FROM (
        SELECT json_object('kind', 'event', 'place', topic, 'id', event_id, 'at', published_at,
            'cause', cause, 'key', event_key, 'type', event ->> '$.type') AS one,
            published_at AS at
        FROM event WHERE cause IN (SELECT value FROM json_each(:causes))
        UNION ALL
        SELECT json_object('kind', 'message', 'place', queue, 'id', message_id, 'at', queued_at,
            'cause', cause), queued_at
        FROM queued WHERE cause IN (SELECT value FROM json_each(:causes)))
    ORDER BY at LIMIT :limit);

-- flow_event: one event
SELECT json_object('kind', 'event', 'place', topic, 'id', event_id, 'at', published_at,
    'cause', cause, 'key', event_key, 'type', event ->> '$.type')
FROM event WHERE topic = :place AND event_id = :id;

-- flow_message: one message
SELECT json_object('kind', 'message', 'place', queue, 'id', message_id, 'at', queued_at,
    'cause', cause)
FROM queued WHERE queue = :place AND message_id = :id;

-- flow_instances: instances that these causes have started, oldest first
SELECT json_group_array(json_array(instance_id, tags ->> '$."tenuto.cause"')) FROM (
    SELECT instance_id, tags FROM instance
    WHERE tags IS NOT NULL AND tags ->> '$."tenuto.cause"' IS NOT NULL
        AND tags ->> '$."tenuto.cause"' IN (SELECT value FROM json_each(:causes))
    ORDER BY created_at LIMIT :limit);
