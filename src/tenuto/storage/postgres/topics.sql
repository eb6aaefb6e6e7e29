-- Statements for topics, in the form of queries.sql.

-- subscription_list: how each subscription stands
SELECT one.name, one.topic, one.position,
    greatest(0, (SELECT count(*) FROM (SELECT 1 FROM hub.event
            WHERE event.topic = one.topic AND event.position > one.position LIMIT 100000) AS found)
        - cardinality(one.done)) AS lag,
    (SELECT published_at FROM hub.event
        WHERE event.topic = one.topic AND event.position > one.position
            AND NOT event.position = ANY (one.done)
        ORDER BY event.position LIMIT 1) AS oldest,
    (SELECT count(*) FROM hub.failed_delivery
        WHERE source = 'topic' AND failed_delivery.name = one.topic
            AND function = one.name) AS failed,
    one.updated_at
FROM hub.subscription AS one ORDER BY one.name;

-- topic_events: events after a position, oldest first, as long as they fit, one at least
SELECT position, event_id, topic, event_key, published_at, cause, event FROM (
    SELECT *, sum(octet_length(event)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING)
        - octet_length(event) AS before
    FROM (SELECT * FROM hub.event WHERE topic = :topic AND position > :after
        ORDER BY position LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY position;

-- newest_topic_events: the newest events of a topic as long as they fit, one at least; newest first
SELECT position, event_id, topic, event_key, published_at, cause, event FROM (
    SELECT *, sum(octet_length(event)) OVER (ORDER BY position DESC ROWS UNBOUNDED PRECEDING)
        - octet_length(event) AS before
    FROM (SELECT * FROM hub.event WHERE topic = :topic
        ORDER BY position DESC LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY position DESC;

-- topic_news: which topics have events after a position, up to which one, and who was given some back
SELECT coalesce(max(position), :cursor::bigint) AS cursor,
    coalesce(array_agg(DISTINCT topic) FILTER (WHERE topic IS NOT NULL), '{}') AS topics,
    (SELECT coalesce(array_agg(DISTINCT subscription), '{}') FROM hub.redelivery) AS given_back
FROM hub.event WHERE position > :cursor::bigint;

-- last_position: that of the newest event there ever was, and is committed
SELECT coalesce(max(position), 0) FROM (
    SELECT max(position) AS position FROM hub.event
    UNION ALL SELECT max(position) FROM hub.subscription
    UNION ALL SELECT trimmed_to FROM hub.hub) AS found;

-- topic_names: topics that have events; the index is asked for the next name, not gone through
WITH RECURSIVE found (name) AS (
    SELECT min(topic) FROM hub.event
    UNION ALL
    SELECT (SELECT min(topic) FROM hub.event WHERE topic > name) FROM found
    WHERE name IS NOT NULL)
SELECT name FROM found WHERE name IS NOT NULL;

-- topic_page: some events of a topic in a row, as long as they fit, one at least
SELECT coalesce(max(position), 0) AS last, count(*) AS events, coalesce(sum(size), 0)::bigint AS bytes,
    coalesce(min(published_at) FILTER (WHERE before = 0), 0) AS first_at
FROM (
    SELECT *, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT position, published_at, octet_length(event) AS size FROM hub.event
        WHERE topic = :topic AND position > :after ORDER BY position LIMIT :limit) AS page
    ) AS measured
WHERE before < :most_bytes OR before = 0;

-- places: how far subscriptions are
SELECT name, topic, position, done FROM hub.subscription WHERE name = ANY (:names::text[]);

-- write_place: how far a subscription is
INSERT INTO hub.subscription (name, topic, position, done, updated_at)
VALUES (:name, :topic, :position, :done, :updated_at)
ON CONFLICT (name) DO UPDATE SET topic = excluded.topic, position = excluded.position,
    done = excluded.done, updated_at = excluded.updated_at;

-- add_failed: deliveries that are put aside
INSERT INTO hub.failed_delivery (source, name, function, message_id, attempts, failed_at, error,
    cause, event_key, content, came_at)
SELECT * FROM unnest(:sources::text[], :names::text[], :functions::text[], :message_ids::text[],
    :attempts::bigint[], :times::bigint[], :errors::text[], :causes::text[], :keys::text[],
    :contents::text[], :came::bigint[]);

-- remove_subscription: forget a subscription
DELETE FROM hub.subscription WHERE name = :name;

-- remove_failed_of: what was put aside for a subscription goes with it
DELETE FROM hub.failed_delivery WHERE source = 'topic' AND function = :name;

-- remove_redeliveries_of: nor is anything given to it again
DELETE FROM hub.redelivery WHERE subscription = :name;

-- failed_list: what was put aside, oldest first, as long as it fits, one at least
SELECT number, source, name, function, message_id, attempts, failed_at, error, cause, event_key,
    content, came_at
FROM (
    SELECT *, sum(octet_length(content)) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING)
        - octet_length(content) AS before
    FROM (
        SELECT * FROM hub.failed_delivery
        WHERE number > :after AND (:function::text IS NULL OR function = :function)
            AND (:source::text IS NULL OR source = :source)
            AND (:name::text IS NULL OR name = :name)
        ORDER BY number LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY number;

-- failed_counts: how many were put aside, function by function
SELECT source, name, function, count(*) AS count, max(failed_at) AS newest
FROM hub.failed_delivery GROUP BY source, name, function ORDER BY source, name, function;

-- take_failed: it is put aside no more
DELETE FROM hub.failed_delivery WHERE number = ANY (:numbers::bigint[]);

-- redrivable: which of these may go back: no message whose id is in its queue again, or is to go
-- there with another one of these; nobody else takes them meanwhile
WITH chosen AS MATERIALIZED (
    SELECT number, source, name, message_id FROM hub.failed_delivery
    WHERE number = ANY (:numbers::bigint[]) ORDER BY number FOR UPDATE)
SELECT min(number) AS number FROM chosen
WHERE source = 'queue' AND NOT EXISTS (
    SELECT 1 FROM hub.queued
    WHERE queued.queue = chosen.name AND queued.message_id = chosen.message_id)
GROUP BY name, message_id
UNION ALL
SELECT number FROM chosen WHERE source <> 'queue';

-- still_failed: which of these are put aside
SELECT number FROM hub.failed_delivery WHERE number = ANY (:numbers::bigint[]) ORDER BY number;

-- redrive_queued: messages are in their queue again, with all attempts; those that are
INSERT INTO hub.queued (message_id, queue, visible_at, queued_at, came_at, cause, data)
SELECT message_id, name, 0, :now, came_at, cause, content FROM hub.failed_delivery
WHERE source = 'queue' AND number = ANY (:numbers::bigint[]) ORDER BY number;

-- redrive_event: events are given to their subscription again, and to no other
INSERT INTO hub.redelivery (subscription, event_id, topic, event_key, published_at, cause, event)
SELECT function, message_id, name, event_key,
    coalesce(came_at, (SELECT published_at FROM hub.event
        WHERE topic = failed_delivery.name AND event_id = message_id), failed_at),
    cause, content
FROM hub.failed_delivery
WHERE source = 'topic' AND number = ANY (:numbers::bigint[]) ORDER BY number;

-- redrive_files: files are given to their function again; no subscription is named so
INSERT INTO hub.redelivery (subscription, event_id, topic, event_key, published_at, cause, event)
SELECT 'files/' || function, message_id, name, event_key, failed_at, cause, content
FROM hub.failed_delivery
WHERE source = 'files' AND number = ANY (:numbers::bigint[]) ORDER BY number;

-- redeliveries: events that were given back to a subscription, oldest first, as long as they fit, one
-- at least; below zero, so that none has the position of an event
SELECT -number AS position, event_id, topic, event_key, published_at, cause, event FROM (
    SELECT *, sum(octet_length(event)) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING)
        - octet_length(event) AS before
    FROM (
        SELECT * FROM hub.redelivery WHERE subscription = :name AND number > :after
        ORDER BY number LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY number;

-- end_redeliveries: they are done with
DELETE FROM hub.redelivery WHERE -number = ANY (:positions::bigint[]);

-- trim_unread: of what trim deletes, how much each subscription has not read
WITH old AS MATERIALIZED (
    SELECT position FROM (
        SELECT position, published_at FROM hub.event WHERE topic = :topic
        ORDER BY position LIMIT :limit) AS oldest
    WHERE position <= :position OR published_at < :before)
SELECT name, unread FROM (
    SELECT name, (SELECT count(*) FROM old WHERE old.position > subscription.position)
        - (SELECT count(*) FROM unnest(done) AS one WHERE one IN (SELECT position FROM old))
        AS unread
    FROM hub.subscription
    WHERE topic = :topic AND position < (SELECT max(position) FROM old)) AS found
WHERE unread > 0;

-- trim: delete the oldest events of a topic up to a position, or from before a moment
DELETE FROM hub.event WHERE position IN (
    SELECT position FROM (
        SELECT position, published_at FROM hub.event WHERE topic = :topic
        ORDER BY position LIMIT :limit) AS oldest
    WHERE position <= :position OR published_at < :before);

-- note_trimmed: positions up to here have been, though no event shows it
UPDATE hub.hub SET trimmed_to = greatest(trimmed_to, (SELECT coalesce(max(position), 0) FROM hub.event));

-- topic_waits: what instances of these partitions wait for
SELECT iid, task_id, partition, topic, event_key, after
FROM hub.topic_wait WHERE partition = ANY (:partitions::int[]);

-- topic_matches_of: for these waits the first event that counts, as long as they fit, one at least,
-- and one more; how long the others are is known without reading them
WITH found AS MATERIALIZED (
    SELECT wanted.place, wait.iid, wait.task_id, wait.partition, event.position,
        sum(octet_length(event.event)) OVER (ORDER BY wanted.place ROWS UNBOUNDED PRECEDING)
            - octet_length(event.event) AS before
    FROM unnest(:iids::bigint[], :tasks::bigint[]) WITH ORDINALITY AS wanted (iid, task_id, place)
    JOIN hub.topic_wait AS wait ON wait.iid = wanted.iid AND wait.task_id = wanted.task_id
    CROSS JOIN LATERAL (
        SELECT position, event FROM hub.event
        WHERE topic = wait.topic AND event_key = wait.event_key AND position > wait.after
        ORDER BY position LIMIT 1) AS event)
SELECT found.iid, found.task_id, found.partition, instance.instance_id, instance.execution_id,
    event.position, event.event_id, event.topic, event.event_key, event.published_at, event.cause,
    CASE WHEN before < :most_bytes OR before = 0 THEN event.event END AS event
FROM found
JOIN hub.instance ON instance.iid = found.iid
JOIN hub.event ON event.position = found.position
ORDER BY place;

-- topic_waits_since: waits that the events after a position are for, in the order of the events
SELECT wait.iid, wait.task_id, min(event.position) AS position
FROM (SELECT * FROM hub.event WHERE position > :cursor ORDER BY position LIMIT :limit) AS event
JOIN hub.topic_wait AS wait ON wait.topic = event.topic
    AND wait.event_key = event.event_key AND wait.after < event.position
WHERE event.event_key IS NOT NULL
GROUP BY wait.iid, wait.task_id ORDER BY position;

-- events_since: how far the next events after a position go, and whether there are more
SELECT coalesce(max(position) FILTER (WHERE place <= :limit), :cursor::bigint) AS cursor,
    count(*) > :limit AS has_more
FROM (
    SELECT position, row_number() OVER (ORDER BY position) AS place FROM (
        SELECT position FROM hub.event WHERE position > :cursor::bigint
        ORDER BY position LIMIT :limit + 1) AS following) AS numbered;
