-- Statements for topics, in the form of queries.sql. An event is the JSON array of StoredEvent.

-- subscription_list: how each subscription stands in each topic that it has read; what was given back
-- to it and is not done with is behind as well. Events are counted once for all of a topic's
-- subscriptions, from each to the next one that is further on, and no further than is told.
WITH RECURSIVE ordered AS MATERIALIZED (
    SELECT name, topic, position,
        row_number() OVER (PARTITION BY topic ORDER BY position DESC, name) AS place
    FROM subscription),
counted (name, topic, position, place, behind) AS (
    SELECT name, topic, position, place, (SELECT count(*) FROM (
        SELECT 1 FROM event WHERE topic = ordered.topic AND position > ordered.position
        LIMIT 100000))
    FROM ordered WHERE place = 1
    UNION ALL
    SELECT ordered.name, ordered.topic, ordered.position, ordered.place,
        min(100000, behind + iif(behind >= 100000, 0, (SELECT count(*) FROM (
            SELECT 1 FROM event WHERE topic = ordered.topic
                AND position > ordered.position AND position <= counted.position
            LIMIT 100000))))
    FROM counted CROSS JOIN ordered
        ON ordered.topic = counted.topic AND ordered.place = counted.place + 1)
SELECT json_group_array(json_object(
    'name', name, 'topic', topic, 'position', position, 'lag', behind + givenBack,
    'oldest', (SELECT min(moment) FROM (
        SELECT oldest AS moment UNION ALL SELECT givenBackOldest)),
    'failed', failed, 'updatedAt', updated_at, 'givenBack', givenBack,
    'retrying', json_array_length(tried), 'isFull', json(iif(is_full, 'true', 'false')),
    'isServed', json(iif(isServed, 'true', 'false'))))
FROM (
    SELECT one.name, one.topic, one.position, one.updated_at, one.tried, one.is_full,
        max(0, counted.behind - json_array_length(one.done)) AS behind,
        (SELECT published_at FROM event
            WHERE topic = one.topic AND position > one.position
                AND position NOT IN (SELECT value FROM json_each(one.done))
            ORDER BY position LIMIT 1) AS oldest,
        (SELECT count(*) FROM redelivery
            WHERE subscription = one.name AND redelivery.topic = one.topic) AS givenBack,
        (SELECT min(published_at) FROM redelivery
            WHERE subscription = one.name AND redelivery.topic = one.topic) AS givenBackOldest,
        (SELECT count(*) FROM failed_delivery
            WHERE source = 'topic' AND failed_delivery.name = one.topic
                AND function = one.name) AS failed,
        EXISTS (SELECT 1 FROM partition WHERE partition.partition = one.partition
            AND partition.owner = one.owner AND partition.epoch = one.epoch) AS isServed
    FROM counted CROSS JOIN subscription AS one
        ON one.name = counted.name AND one.topic = counted.topic
    ORDER BY one.name, one.topic);

-- topic_events: events after a position, oldest first, as long as they fit, one at least
WITH fitting AS MATERIALIZED (
    SELECT position FROM (
        SELECT position,
            sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT position, octet_length(event) + coalesce(octet_length(cause), 0) AS size
            FROM event WHERE topic = :topic AND position > :after ORDER BY position LIMIT :limit))
    WHERE before < :most_bytes OR before = 0)
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(position, event_id, topic, event_key, published_at, cause, json(event))
        AS one
    FROM event
    WHERE topic = :topic AND position > :after AND position <= (SELECT max(position) FROM fitting)
    ORDER BY position);

-- newest_topic_events: the newest events of a topic as long as they fit, one at least; newest first
WITH fitting AS MATERIALIZED (
    SELECT position FROM (
        SELECT position,
            sum(size) OVER (ORDER BY position DESC ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT position, octet_length(event) + coalesce(octet_length(cause), 0) AS size
            FROM event WHERE topic = :topic ORDER BY position DESC LIMIT :limit))
    WHERE before < :most_bytes OR before = 0)
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(position, event_id, topic, event_key, published_at, cause, json(event))
        AS one
    FROM event WHERE topic = :topic AND position >= (SELECT min(position) FROM fitting)
    ORDER BY position DESC);

-- topic_news: which topics have events after a position, and who was given some back; the index of
-- those is asked for the next name, not gone through
WITH RECURSIVE given_back (name) AS (
    SELECT min(subscription) FROM redelivery
    UNION ALL
    SELECT (SELECT min(subscription) FROM redelivery WHERE subscription > name) FROM given_back
    WHERE name IS NOT NULL)
SELECT json_array(coalesce(max(position), :cursor), json_group_array(DISTINCT topic),
    json((SELECT json_group_array(name) FROM given_back WHERE name IS NOT NULL)))
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
    coalesce(min(published_at), 0))
FROM (
    SELECT position, published_at, size,
        sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT position, published_at,
            octet_length(event) + coalesce(octet_length(cause), 0) AS size
        FROM event WHERE topic = :topic AND position > :after ORDER BY position LIMIT :limit))
WHERE before < :most_bytes OR before = 0;

-- places: how far subscriptions are, in each topic that they have read
SELECT json_group_array(json_array(name, topic, position, json(done), json(tried),
    json(iif(is_full, 'true', 'false')))) FROM subscription
WHERE name IN (SELECT value FROM json_each(:names));

-- write_place: how far a subscription is, for who owns its partition; no row when that is another
INSERT INTO subscription (name, topic, position, done, updated_at, tried, is_full, partition, owner,
    epoch)
SELECT :name, :topic, :position, :done, :updated_at, :tried, :is_full, :partition, :owner, :epoch
FROM partition
WHERE partition = :partition AND owner = :owner AND epoch = :epoch
ON CONFLICT (name, topic) DO UPDATE SET position = excluded.position, done = excluded.done,
    updated_at = excluded.updated_at, tried = excluded.tried, is_full = excluded.is_full,
    partition = excluded.partition, owner = excluded.owner, epoch = excluded.epoch
RETURNING 1;

-- add_failed: deliveries that are put aside
INSERT INTO failed_delivery (source, name, function, message_id, attempts, failed_at, error, cause,
    event_key, content, came_at)
SELECT value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
    value ->> 8, value ->> 9, value ->> 10, value ->> 11
FROM json_each(:failed);

-- remove_subscription: forget a subscription, of one topic or all; no row when there is none
DELETE FROM subscription WHERE name = :name AND (:topic IS NULL OR topic = :topic) RETURNING 1;

-- failed_span: up to which number what was put aside for a subscription fits, one at least; no value
-- when there is nothing after a number
SELECT max(number) FROM (
    SELECT number, sum(size) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT number, octet_length(content) AS size FROM failed_delivery
        WHERE number > :after AND source = 'topic' AND function = :name
            AND (:topic IS NULL OR name = :topic)
        ORDER BY number LIMIT :limit))
WHERE before < :most_bytes OR before = 0;

-- remove_failed_of: what was put aside for a subscription goes with it
DELETE FROM failed_delivery
WHERE number > :after AND number <= :last AND source = 'topic' AND function = :name
    AND (:topic IS NULL OR name = :topic);

-- remove_redeliveries_of: nor is anything given to it again
DELETE FROM redelivery WHERE subscription = :name AND (:topic IS NULL OR topic = :topic);

-- failed_list: what was put aside, oldest first, as long as it fits, one at least
WITH fitting AS MATERIALIZED (
    SELECT number FROM (
        SELECT number, sum(size) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT number, octet_length(content) + octet_length(error)
                + coalesce(octet_length(cause), 0) AS size
            FROM failed_delivery
            WHERE number > :after AND (:function IS NULL OR function = :function)
                AND (:source IS NULL OR source = :source) AND (:name IS NULL OR name = :name)
            ORDER BY number LIMIT :limit))
    WHERE before < :most_bytes OR before = 0)
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(number, source, name, function, message_id, attempts, failed_at, error, cause,
        event_key, content, came_at) AS one
    FROM failed_delivery WHERE number IN (SELECT number FROM fitting) ORDER BY number);

-- failed_counts: how many were put aside, function by function; counted in the index alone
SELECT json_group_array(json_array(source, name, function, count, newest)) FROM (
    SELECT source, name, function, count,
        (SELECT failed_at FROM failed_delivery WHERE number = last) AS newest
    FROM (
        SELECT source, name, function, count(*) AS count, max(number) AS last
        FROM failed_delivery GROUP BY source, name, function)
    ORDER BY source, name, function);

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
WITH fitting AS MATERIALIZED (
    SELECT number FROM (
        SELECT number, sum(size) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT number, octet_length(event) + coalesce(octet_length(cause), 0) AS size
            FROM redelivery WHERE subscription = :name AND number > :after
            ORDER BY number LIMIT :limit))
    WHERE before < :most_bytes OR before = 0)
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(-number, event_id, topic, event_key, published_at, cause, json(event)) AS one
    FROM redelivery
    WHERE subscription = :name AND number > :after AND number <= (SELECT max(number) FROM fitting)
    ORDER BY number);

-- end_redeliveries: they are done with
DELETE FROM redelivery WHERE number IN (SELECT -value FROM json_each(:positions));

-- trim_unread: of what trim deletes, how much each subscription has not read; who has read none of it
-- is told by arithmetic
WITH old AS MATERIALIZED (
    SELECT position FROM (
        SELECT position, published_at FROM event WHERE topic = :topic
        ORDER BY position LIMIT :limit)
    WHERE position <= :position OR published_at < :before),
span AS MATERIALIZED (
    SELECT count(*) AS events, min(position) AS first, max(position) AS last FROM old)
SELECT json_group_object(name, unread) FROM (
    SELECT name, iif(position < first, events, (
            SELECT count(*) FROM old WHERE old.position > subscription.position))
        - (SELECT count(*) FROM json_each(done) WHERE value IN old) AS unread
    FROM span CROSS JOIN subscription WHERE topic = :topic AND position < last)
WHERE unread > 0;

-- trim: delete the oldest events of a topic up to a position, or from before a moment
DELETE FROM event WHERE position IN (
    SELECT position FROM (
        SELECT position, published_at FROM event WHERE topic = :topic
        ORDER BY position LIMIT :limit)
    WHERE position <= :position OR published_at < :before);

-- topic_waits: what instances of these partitions wait for, in the order of their key; the plus keeps
-- it on that
SELECT json_group_array(json_array(iid, task_id, partition, topic, event_key, after)) FROM (
    SELECT iid, task_id, partition, topic, event_key, after FROM topic_wait
    WHERE (iid, task_id) > (:iid, :task_id)
        AND +partition IN (SELECT value FROM json_each(:partitions))
    ORDER BY iid, task_id LIMIT :limit);

-- topic_matches_of: for these waits the first event that counts, as long as they fit, one at least;
-- how long the others are is known without reading them
WITH found AS MATERIALIZED (
    SELECT place, iid, task_id, partition, position,
        sum(size) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT wanted.key AS place, wait.iid, wait.task_id, wait.partition, event.position,
            octet_length(event.event) + coalesce(octet_length(event.cause), 0) AS size
        FROM json_each(:waits) AS wanted
        CROSS JOIN topic_wait AS wait ON wait.iid = wanted.value ->> 0
            AND wait.task_id = wanted.value ->> 1
        CROSS JOIN event ON event.position = (
            SELECT min(position) FROM event
            WHERE topic = wait.topic AND event_key = wait.event_key AND position > wait.after)))
SELECT json_array(
    json(coalesce('[' || (SELECT group_concat(one, ',') FROM (
        SELECT json_array(found.iid, found.task_id, found.partition, instance.instance_id,
            instance.execution_id, json_array(event.position, event.event_id, event.topic,
                event.event_key, event.published_at, event.cause, json(event.event))) AS one
        FROM found
        CROSS JOIN instance ON instance.iid = found.iid
        CROSS JOIN event ON event.position = found.position
        WHERE before < :most_bytes OR before = 0 ORDER BY place)) || ']', '[]')),
    json(iif(EXISTS (SELECT 1 FROM found WHERE before >= :most_bytes AND before > 0), 'true',
        'false')));

-- topic_waits_since: waits that the events after a position are for, in the order of the events; a
-- wait is looked at once, however many events of its key there are
WITH news AS MATERIALIZED (
    SELECT position, topic, event_key FROM event WHERE position > :cursor
    ORDER BY position LIMIT :limit),
keys AS MATERIALIZED (
    SELECT topic, event_key, min(position) AS first, max(position) AS last FROM news
    WHERE event_key IS NOT NULL GROUP BY topic, event_key ORDER BY first)
SELECT json_array(
    json(coalesce((SELECT json_group_array(json_array(iid, task_id)) FROM (
        SELECT wait.iid, wait.task_id FROM keys
        CROSS JOIN topic_wait AS wait ON wait.topic = keys.topic
            AND wait.event_key = keys.event_key AND wait.after < keys.last
        ORDER BY keys.first)), '[]')),
    coalesce((SELECT max(position) FROM news), :cursor),
    json(iif((SELECT count(*) FROM (
        SELECT 1 FROM event WHERE position > :cursor ORDER BY position LIMIT :limit + 1)) > :limit,
        'true', 'false')));
