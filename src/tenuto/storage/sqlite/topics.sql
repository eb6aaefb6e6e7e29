-- Statements for topics, in the form of queries.sql. An event is the JSON array of StoredEvent.

-- subscription_list: how each subscription stands
SELECT json_group_array(json_object(
    'name', one.name, 'topic', one.topic, 'position', one.position,
    'lag', max(0, (SELECT count(*) FROM (SELECT 1 FROM event
            WHERE topic = one.topic AND position > one.position LIMIT 100000))
        - json_array_length(one.done)),
    'oldest', (SELECT published_at FROM event
        WHERE topic = one.topic AND position > one.position
            AND position NOT IN (SELECT value FROM json_each(one.done))
        ORDER BY position LIMIT 1),
    'failed', (SELECT count(*) FROM failed_delivery
        WHERE source = 'topic' AND failed_delivery.name = one.topic AND function = one.name),
    'updatedAt', one.updated_at))
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

-- newest_topic_events: the newest events of a topic as long as they fit, one at least; newest first
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(position, event_id, topic, event_key, published_at, cause, json(event))
        AS one
    FROM (
        SELECT *, sum(octet_length(event)) OVER (ORDER BY position DESC ROWS UNBOUNDED PRECEDING)
            - octet_length(event) AS before
        FROM (SELECT * FROM event WHERE topic = :topic ORDER BY position DESC LIMIT :limit))
    WHERE before < :most_bytes ORDER BY position DESC);

-- topic_news: which topics have events after a position, and who was given some back
SELECT json_array(coalesce(max(position), :cursor), json_group_array(DISTINCT topic),
    json((SELECT json_group_array(subscription)
        FROM (SELECT DISTINCT subscription FROM redelivery))))
FROM event WHERE position > :cursor;

-- last_position: that of the newest event there ever was
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0);

-- topic_names: topics that have events; the index is asked for the next name, not gone through
WITH RECURSIVE found (name) AS (
    SELECT min(topic) FROM event
    UNION ALL
    SELECT (SELECT min(topic) FROM event WHERE topic > name) FROM found WHERE name IS NOT NULL)
SELECT json_group_array(name) FROM found WHERE name IS NOT NULL;

-- topic_page: some events of a topic in a row, as long as they fit, one at least
SELECT json_array(coalesce(max(position), 0), count(*), coalesce(sum(size), 0),
    coalesce(min(iif(before = 0, published_at, NULL)), 0))
FROM (
    SELECT *, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT position, published_at, octet_length(event) AS size FROM event
        WHERE topic = :topic AND position > :after ORDER BY position LIMIT :limit))
WHERE before < :most_bytes;

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
    event_key, content, came_at)
SELECT value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
    value ->> 8, value ->> 9, value ->> 10, value ->> 11
FROM json_each(:failed);

-- remove_subscription: forget a subscription; no row when there is none
DELETE FROM subscription WHERE name = :name RETURNING 1;

-- remove_failed_of: what was put aside for a subscription goes with it
DELETE FROM failed_delivery WHERE source = 'topic' AND function = :name;

-- remove_redeliveries_of: nor is anything given to it again
DELETE FROM redelivery WHERE subscription = :name;

-- failed_list: what was put aside, oldest first
SELECT json_group_array(json_array(number, source, name, function, message_id, attempts, failed_at,
    error, cause, event_key, content, came_at))
FROM (
    SELECT *, sum(octet_length(content)) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING)
        - octet_length(content) AS before
    FROM (
        SELECT * FROM failed_delivery
        WHERE number > :after AND (:function IS NULL OR function = :function)
            AND (:source IS NULL OR source = :source) AND (:name IS NULL OR name = :name)
        ORDER BY number LIMIT :limit))
WHERE before < :most_bytes OR before = 0;

-- failed_counts: how many were put aside, function by function
SELECT json_group_array(json_array(source, name, function, count, newest)) FROM (
    SELECT source, name, function, count(*) AS count, max(failed_at) AS newest
    FROM failed_delivery GROUP BY source, name, function ORDER BY source, name, function);

-- take_failed: it is put aside no more
DELETE FROM failed_delivery WHERE number IN (SELECT value FROM json_each(:numbers));

-- redrivable: which of these may go back: no message whose id is in its queue again, or is to go
-- there with another one of these
SELECT json_group_array(number) FROM (
    SELECT min(number) AS number FROM failed_delivery AS one
    WHERE source = 'queue' AND number IN (SELECT value FROM json_each(:numbers))
        AND NOT EXISTS (
            SELECT 1 FROM queued WHERE queue = one.name AND message_id = one.message_id)
    GROUP BY name, message_id
    UNION ALL
    SELECT number FROM failed_delivery
    WHERE source <> 'queue' AND number IN (SELECT value FROM json_each(:numbers)));

-- still_failed: which of these are put aside
SELECT json_group_array(number) FROM (
    SELECT number FROM failed_delivery WHERE number IN (SELECT value FROM json_each(:numbers))
    ORDER BY number);

-- redrive_queued: messages are in their queue again, with all attempts
INSERT INTO queued (message_id, queue, visible_at, queued_at, came_at, cause, data)
SELECT message_id, name, 0, :now, came_at, cause, content FROM failed_delivery
WHERE source = 'queue' AND number IN (SELECT value FROM json_each(:numbers)) ORDER BY number;

-- redrive_event: events are given to their subscription again, and to no other
INSERT INTO redelivery (subscription, event_id, topic, event_key, published_at, cause, event)
SELECT function, message_id, name, event_key,
    coalesce(came_at,
        (SELECT published_at FROM event WHERE topic = name AND event_id = message_id), failed_at),
    cause, content
FROM failed_delivery WHERE source = 'topic' AND number IN (SELECT value FROM json_each(:numbers)) ORDER BY number;

-- redrive_files: files are given to their function again; no subscription is named so
INSERT INTO redelivery (subscription, event_id, topic, event_key, published_at, cause, event)
SELECT 'files/' || function, message_id, name, event_key, failed_at, cause, content
FROM failed_delivery
WHERE source = 'files' AND number IN (SELECT value FROM json_each(:numbers)) ORDER BY number;

-- redeliveries: events that were given back to a subscription, oldest first, as long as they fit, one
-- at least; below zero, so that none has the position of an event
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(-number, event_id, topic, event_key, published_at, cause, json(event)) AS one
    FROM (
        SELECT *, sum(octet_length(event)) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING)
            - octet_length(event) AS before
        FROM (
            SELECT * FROM redelivery WHERE subscription = :name AND number > :after
            ORDER BY number LIMIT :limit))
    WHERE before < :most_bytes ORDER BY number);

-- end_redeliveries: they are done with
DELETE FROM redelivery WHERE number IN (SELECT -value FROM json_each(:positions));

-- trim_unread: of what trim deletes, how much each subscription has not read
WITH old AS MATERIALIZED (
    SELECT position FROM (
        SELECT position, published_at FROM event WHERE topic = :topic
        ORDER BY position LIMIT :limit)
    WHERE position <= :position OR published_at < :before)
SELECT json_group_object(name, unread) FROM (
    SELECT name, (SELECT count(*) FROM old WHERE old.position > subscription.position)
        - (SELECT count(*) FROM json_each(done) WHERE value IN old) AS unread
    FROM subscription
    WHERE topic = :topic AND position < (SELECT max(position) FROM old))
WHERE unread > 0;

-- trim: delete the oldest events of a topic up to a position, or from before a moment
DELETE FROM event WHERE position IN (
    SELECT position FROM (
        SELECT position, published_at FROM event WHERE topic = :topic
        ORDER BY position LIMIT :limit)
    WHERE position <= :position OR published_at < :before);

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
