-- Statements for topics, in the form of queries.sql.

-- subscription_list: how each subscription stands in each topic that it has read; what was given back
-- to it and is not done with is behind as well. Events are counted once for all of a topic's
-- subscriptions, from each to the next one that is further on, and no further than is told.
WITH RECURSIVE ordered AS MATERIALIZED (
    SELECT name, topic, position,
        row_number() OVER (PARTITION BY topic ORDER BY position DESC, name) AS place
    FROM hub.subscription),
counted (name, topic, position, place, behind) AS (
    SELECT name, topic, position, place, (SELECT count(*) FROM (
        SELECT 1 FROM hub.event
        WHERE event.topic = ordered.topic AND event.position > ordered.position
        LIMIT 100000) AS following)
    FROM ordered WHERE place = 1
    UNION ALL
    SELECT ordered.name, ordered.topic, ordered.position, ordered.place,
        least(100000, behind + CASE WHEN behind >= 100000 THEN 0 ELSE (SELECT count(*) FROM (
            SELECT 1 FROM hub.event
            WHERE event.topic = ordered.topic AND event.position > ordered.position
                AND event.position <= counted.position
            LIMIT 100000) AS between_them) END)
    FROM counted
    JOIN ordered ON ordered.topic = counted.topic AND ordered.place = counted.place + 1)
SELECT one.name, one.topic, one.position,
    greatest(0, behind - cardinality(one.done)) + again.given_back AS lag,
    least(again.oldest, (SELECT published_at FROM hub.event
        WHERE event.topic = one.topic AND event.position > one.position
            AND NOT event.position = ANY (one.done)
        ORDER BY event.position LIMIT 1)) AS oldest,
    (SELECT count(*) FROM hub.failed_delivery
        WHERE source = 'topic' AND failed_delivery.name = one.topic
            AND function = one.name) AS failed,
    one.updated_at, again.given_back, cardinality(one.tried) AS retrying, one.is_full,
    EXISTS (SELECT 1 FROM hub.partition WHERE partition.partition = one.partition
        AND partition.owner = one.owner AND partition.epoch = one.epoch) AND EXISTS (
    SELECT 1 FROM hub.owner WHERE owner.owner = one.owner
        AND owner.lease_until > clock_timestamp()) AS is_served
FROM counted
JOIN hub.subscription AS one ON one.name = counted.name AND one.topic = counted.topic
CROSS JOIN LATERAL (
    SELECT count(*) AS given_back, min(published_at) AS oldest FROM hub.redelivery
    WHERE redelivery.subscription = one.name AND redelivery.topic = one.topic) AS again
ORDER BY one.name, one.topic;

-- topic_events: events after a position, oldest first, as long as they fit, one at least
SELECT position, event_id, topic, event_key, published_at, cause, event FROM (
    SELECT *, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (SELECT *, octet_length(event) + coalesce(octet_length(cause), 0) AS size
        FROM hub.event WHERE topic = :topic AND position > :after
        ORDER BY position LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY position;

-- newest_topic_events: the newest events of a topic as long as they fit, one at least; newest first
SELECT position, event_id, topic, event_key, published_at, cause, event FROM (
    SELECT *, sum(size) OVER (ORDER BY position DESC ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (SELECT *, octet_length(event) + coalesce(octet_length(cause), 0) AS size
        FROM hub.event WHERE topic = :topic
        ORDER BY position DESC LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY position DESC;

-- topic_news: which topics have events after a position, up to which one, and who was given some
-- back; the index of those is asked for the next name, not gone through
WITH RECURSIVE given_back (name) AS (
    SELECT min(subscription) FROM hub.redelivery
    UNION ALL
    SELECT (SELECT min(subscription) FROM hub.redelivery WHERE subscription > name)
    FROM given_back WHERE name IS NOT NULL)
SELECT coalesce(max(position), :cursor::bigint) AS cursor,
    coalesce(array_agg(DISTINCT topic) FILTER (WHERE topic IS NOT NULL), '{}') AS topics,
    (SELECT coalesce(array_agg(name), '{}') FROM given_back WHERE name IS NOT NULL) AS given_back
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
    coalesce(min(published_at), 0) AS first_at
FROM (
    SELECT *, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT position, published_at,
            octet_length(event) + coalesce(octet_length(cause), 0) AS size
        FROM hub.event
        WHERE topic = :topic AND position > :after ORDER BY position LIMIT :limit) AS page
    ) AS measured
WHERE before < :most_bytes OR before = 0;

-- places: how far subscriptions are, in each topic that they have read
SELECT name, topic, position, done, tried, tries, due, is_full FROM hub.subscription
WHERE name = ANY (:names::text[]);

-- write_place: how far a subscription is
INSERT INTO hub.subscription (name, topic, position, done, updated_at, tried, tries, due, is_full,
    partition, owner, epoch)
VALUES (:name, :topic, :position, :done, :updated_at, :tried, :tries, :due, :is_full, :partition,
    :owner, :epoch)
ON CONFLICT (name, topic) DO UPDATE SET position = excluded.position, done = excluded.done,
    updated_at = excluded.updated_at, tried = excluded.tried, tries = excluded.tries,
    due = excluded.due, is_full = excluded.is_full, partition = excluded.partition,
    owner = excluded.owner, epoch = excluded.epoch;

-- add_failed: deliveries that are put aside
INSERT INTO hub.failed_delivery (source, name, function, message_id, attempts, failed_at, error,
    cause, event_key, content, came_at)
SELECT * FROM unnest(:sources::text[], :names::text[], :functions::text[], :message_ids::text[],
    :attempts::bigint[], :times::bigint[], :errors::text[], :causes::text[], :keys::text[],
    :contents::text[], :came::bigint[]);

-- remove_subscription: forget a subscription, of one topic or all
DELETE FROM hub.subscription WHERE name = :name AND (:topic::text IS NULL OR topic = :topic);

-- remove_failed_of: what was put aside for a subscription goes with it
DELETE FROM hub.failed_delivery
WHERE source = 'topic' AND function = :name AND (:topic::text IS NULL OR name = :topic);

-- remove_redeliveries_of: nor is anything given to it again
DELETE FROM hub.redelivery
WHERE subscription = :name AND (:topic::text IS NULL OR topic = :topic);

-- failed_list: what was put aside, oldest first, as long as it fits, one at least
SELECT number, source, name, function, message_id, attempts, failed_at, error, cause, event_key,
    content, came_at
FROM (
    SELECT *, sum(size) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT *, octet_length(content) + octet_length(error) - 2
            + coalesce(octet_length(cause), 0) AS size
        FROM hub.failed_delivery
        WHERE number > :after AND (:function::text IS NULL OR function = :function)
            AND (:source::text IS NULL OR source = :source)
            AND (:name::text IS NULL OR name = :name)
        ORDER BY number LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY number;

-- failed_counts: how many were put aside, function by function; counted in the index alone
SELECT source, name, function, count,
    (SELECT failed_at FROM hub.failed_delivery WHERE number = last) AS newest
FROM (
    SELECT source, name, function, count(*) AS count, max(number) AS last
    FROM hub.failed_delivery GROUP BY source, name, function) AS found
ORDER BY source, name, function;

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
    SELECT *, sum(size) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (SELECT *, octet_length(event) + coalesce(octet_length(cause), 0) AS size
        FROM hub.redelivery WHERE subscription = :name AND number > :after
        ORDER BY number LIMIT :limit) AS page) AS measured
WHERE before < :most_bytes OR before = 0 ORDER BY number;

-- end_redeliveries: they are done with
DELETE FROM hub.redelivery WHERE -number = ANY (:positions::bigint[]);

-- trim_unread: of what trim deletes, how much each subscription has not read; who has read none of it
-- is told by arithmetic
WITH old AS MATERIALIZED (
    SELECT position FROM (
        SELECT position, published_at FROM hub.event WHERE topic = :topic
        ORDER BY position LIMIT :limit) AS oldest
    WHERE position <= :position OR published_at < :before),
span AS MATERIALIZED (
    SELECT count(*) AS events, min(position) AS first, max(position) AS last FROM old)
SELECT name, unread FROM (
    SELECT name, CASE WHEN position < first THEN events ELSE (
            SELECT count(*) FROM old WHERE old.position > subscription.position) END
        - (SELECT count(*) FROM unnest(done) AS one WHERE one IN (SELECT position FROM old))
        AS unread
    FROM span CROSS JOIN hub.subscription WHERE topic = :topic AND position < last) AS found
WHERE unread > 0;

-- trim: delete the oldest events of a topic up to a position, or from before a moment
DELETE FROM hub.event WHERE position IN (
    SELECT position FROM (
        SELECT position, published_at FROM hub.event WHERE topic = :topic
        ORDER BY position LIMIT :limit) AS oldest
    WHERE position <= :position OR published_at < :before);

-- note_trimmed: positions up to here have been, though no event shows it
UPDATE hub.hub SET trimmed_to = greatest(trimmed_to, (SELECT coalesce(max(position), 0) FROM hub.event));

-- topic_waits: what instances of these partitions wait for, in the order of their key
SELECT iid, task_id, partition, topic, event_key, after FROM hub.topic_wait
WHERE (iid, task_id) > (:iid::bigint, :task_id::bigint)
    AND partition = ANY (:partitions::int[])
ORDER BY iid, task_id LIMIT :limit;

-- topic_matches_of: for these waits the first event that counts, as long as they fit, one at least,
-- and one more; how long the others are is known without reading them
WITH found AS MATERIALIZED (
    SELECT wanted.place, wait.iid, wait.task_id, wait.partition, event.position,
        sum(event.size) OVER (ORDER BY wanted.place ROWS UNBOUNDED PRECEDING)
            - event.size AS before
    FROM unnest(:iids::bigint[], :tasks::bigint[]) WITH ORDINALITY AS wanted (iid, task_id, place)
    JOIN hub.topic_wait AS wait ON wait.iid = wanted.iid AND wait.task_id = wanted.task_id
    CROSS JOIN LATERAL (
        SELECT position, octet_length(event) + coalesce(octet_length(cause), 0) AS size
        FROM hub.event
        WHERE topic = wait.topic AND event_key = wait.event_key AND position > wait.after
        ORDER BY position LIMIT 1) AS event)
SELECT found.iid, found.task_id, found.partition, instance.instance_id, instance.execution_id,
    event.position, event.event_id, event.topic, event.event_key, event.published_at, event.cause,
    CASE WHEN before < :most_bytes OR before = 0 THEN event.event END AS event
FROM found
JOIN hub.instance ON instance.iid = found.iid
JOIN hub.event ON event.position = found.position
ORDER BY place;

-- topic_waits_since: waits that the events after a position are for, in the order of the events; a
-- wait is looked at once, however many events of its key there are
SELECT wait.iid, wait.task_id, news.first AS position
FROM (
    SELECT topic, event_key, min(position) AS first, max(position) AS last FROM (
        SELECT position, topic, event_key FROM hub.event
        WHERE position > :cursor ORDER BY position LIMIT :limit) AS event
    WHERE event_key IS NOT NULL GROUP BY topic, event_key) AS news
JOIN hub.topic_wait AS wait ON wait.topic = news.topic
    AND wait.event_key = news.event_key AND wait.after < news.last
ORDER BY position;

-- events_since: how far the next events after a position go, and whether there are more
SELECT coalesce(max(position) FILTER (WHERE place <= :limit), :cursor::bigint) AS cursor,
    count(*) > :limit AS has_more
FROM (
    SELECT position, row_number() OVER (ORDER BY position) AS place FROM (
        SELECT position FROM hub.event WHERE position > :cursor::bigint
        ORDER BY position LIMIT :limit + 1) AS following) AS numbered;
