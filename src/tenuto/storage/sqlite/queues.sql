-- Statements for queues, in the form of queries.sql. A message in work has :in_work for the time
-- when it is visible, which never comes; one that nobody holds back has 0, so that no clock does.
-- Those of 0 come by number. Between the others and them ``since`` decides: when a message was ready.
-- That of the former never goes back along the numbers, whatever the clock did meanwhile.

-- queue_fence: whether who writes owns the partition of a queue
SELECT 1 FROM partition WHERE partition = :partition AND owner = :owner AND epoch = :epoch;

-- queue_list: how each queue stands
SELECT json_group_array(json_object('name', name, 'ready', ready, 'delayed', waiting - ready,
    'in_work', in_work, 'failed', failed, 'oldest', oldest))
FROM (
    SELECT name, sum(ready) AS ready, sum(waiting) AS waiting, sum(in_work) AS in_work,
        sum(failed) AS failed, min(oldest) AS oldest
    FROM (
        SELECT queue AS name, sum(visible_at <= :now) AS ready,
            sum(visible_at < :in_work) AS waiting, sum(visible_at = :in_work) AS in_work,
            0 AS failed, min(iif(visible_at <= :now, iif(visible_at = 0, queued_at, visible_at), NULL))
                AS oldest
        FROM queued GROUP BY queue
        UNION ALL
        SELECT name, 0, 0, 0, count(*), NULL FROM failed_delivery WHERE source = 'queue'
        GROUP BY name)
    GROUP BY name ORDER BY name);

-- queue_messages: the next messages of a queue, as long as they fit, one at least
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_object('id', message_id, 'queued_at', coalesce(came_at, queued_at),
        'visible_at', nullif(visible_at, :in_work), 'attempts', attempts, 'cause', cause,
        'data', data) AS one
    FROM (
        SELECT number AS place, since, sum(size) OVER (
                ORDER BY since, number ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT number, size, since FROM (
                SELECT number, size,
                    max(queued_at) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) AS since
                FROM (
                    SELECT number, queued_at,
                        octet_length(data) + coalesce(octet_length(cause), 0) AS size
                    FROM queued WHERE queue = :queue AND visible_at = 0
                    ORDER BY number LIMIT :limit))
            UNION ALL
            SELECT number, size, since FROM (
                SELECT number, octet_length(data) + coalesce(octet_length(cause), 0) AS size,
                    visible_at AS since
                FROM queued WHERE queue = :queue AND visible_at > 0
                ORDER BY visible_at, number LIMIT :limit)
            ORDER BY since, number LIMIT :limit))
    CROSS JOIN queued ON number = place
    WHERE before < :most_bytes OR before = 0 ORDER BY since, number);

-- queue_next: when the first message of a queue is ready, or was
SELECT min(visible_at) FROM queued WHERE queue = :queue AND visible_at < :in_work;

-- queue_in_work: which messages of a queue are in work
SELECT json_group_array(json_array(number, message_id, deaths, attempts)) FROM (
    SELECT number, message_id, deaths, attempts FROM queued WHERE queue = :queue AND visible_at = :in_work
    ORDER BY number);

-- queue_done: messages are done with
DELETE FROM queued WHERE number IN (SELECT value FROM json_each(:numbers));

-- queue_later: messages go back into their queue
UPDATE queued SET visible_at = one.value ->> 1, attempts = one.value ->> 2
FROM json_each(:later) AS one WHERE number = one.value ->> 0;

-- queue_fail: messages are put aside
INSERT INTO failed_delivery (source, name, function, message_id, attempts, failed_at, error, cause,
    content, came_at)
SELECT 'queue', queued.queue, one.value ->> 1, queued.message_id, queued.attempts,
    one.value ->> 2, one.value ->> 3, queued.cause, queued.data,
    coalesce(queued.came_at, queued.queued_at)
FROM json_each(:failed) AS one CROSS JOIN queued ON queued.number = one.value ->> 0;

-- queue_failed_are_gone: and are in their queue no more
DELETE FROM queued WHERE number IN (SELECT value ->> 0 FROM json_each(:failed));

-- queue_resume: messages are in work still, and are taken again
UPDATE queued SET attempts = one.value ->> 1, deaths = one.value ->> 2
FROM json_each(:resumed) AS one
WHERE number = one.value ->> 0 AND visible_at = :in_work AND queue = :queue;

-- queue_resumed: messages that were taken again
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(number, message_id, coalesce(came_at, queued_at), attempts, cause, data,
        deaths) AS one
    FROM queued
    WHERE number IN (SELECT value ->> 0 FROM json_each(:resumed)) AND visible_at = :in_work
        AND queue = :queue
    ORDER BY number);

-- queue_page: messages that are ready, as they are taken, as long as they fit, one at least
SELECT coalesce('[' || group_concat(one, ',') || ']', '[]') FROM (
    SELECT json_array(number, message_id, coalesce(came_at, queued_at), attempts + 1, cause, data,
        deaths) AS one
    FROM (
        SELECT number AS place, since, sum(size) OVER (
                ORDER BY since, number ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT number, size, since FROM (
                SELECT number, size,
                    max(queued_at) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) AS since
                FROM (
                    SELECT number, queued_at,
                        octet_length(data) + coalesce(octet_length(cause), 0) AS size
                    FROM queued WHERE queue = :queue AND visible_at = 0
                    ORDER BY number LIMIT :limit))
            UNION ALL
            SELECT number, size, since FROM (
                SELECT number, octet_length(data) + coalesce(octet_length(cause), 0) AS size,
                    visible_at AS since
                FROM queued WHERE queue = :queue AND visible_at > 0 AND visible_at <= :now
                ORDER BY visible_at, number LIMIT :limit)
            ORDER BY since, number LIMIT :limit))
    CROSS JOIN queued ON number = place
    WHERE before < :most_bytes OR before = 0 ORDER BY since, number);

-- queue_take: messages are in work, and the attempt counts
UPDATE queued SET visible_at = :in_work, attempts = attempts + 1
WHERE number IN (SELECT value FROM json_each(:numbers));

-- queue_last: the newest message of all queues
SELECT max(number) FROM queued;

-- queue_drop: delete messages of a queue by id
DELETE FROM queued WHERE queue = :queue
    AND message_id IN (SELECT value FROM json_each(:message_ids));

-- queue_drop_all: delete messages of a queue up to one, some at a time, as long as they fit, one at
-- least
DELETE FROM queued WHERE number IN (
    SELECT number FROM (
        SELECT number, sum(size) OVER (
            ORDER BY visible_at, number ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT visible_at, number, octet_length(data) AS size FROM queued
            WHERE queue = :queue AND number <= :last ORDER BY visible_at, number LIMIT :limit))
    WHERE before < :most_bytes OR before = 0);
