-- Statements for queues, in the form of queries.sql. A message in work has :in_work for the time
-- when it is visible, which never comes; one that nobody holds back has 0, so that no clock does.
-- Those of 0 come by number. Between the others and them ``since`` decides: when a message was ready.
-- That of the former never goes back along the numbers, whatever the clock did meanwhile.

-- queue_list: how each queue stands
SELECT name, sum(ready)::bigint AS ready, sum(waiting - ready)::bigint AS delayed,
    sum(in_work)::bigint AS in_work, sum(failed)::bigint AS failed, min(oldest) AS oldest
FROM (
    SELECT queue AS name, count(*) FILTER (WHERE visible_at <= :now) AS ready,
        count(*) FILTER (WHERE visible_at < :in_work) AS waiting,
        count(*) FILTER (WHERE visible_at = :in_work) AS in_work, 0 AS failed,
        min(CASE WHEN visible_at = 0 THEN queued_at ELSE visible_at END)
            FILTER (WHERE visible_at <= :now) AS oldest
    FROM hub.queued GROUP BY queue
    UNION ALL
    SELECT name, 0, 0, 0, count(*), NULL FROM hub.failed_delivery WHERE source = 'queue'
    GROUP BY name) AS found
GROUP BY name ORDER BY name;

-- queue_messages: the next messages of a queue, as long as they fit, one at least
SELECT message_id, coalesce(came_at, queued_at) AS queued_at,
    nullif(visible_at, :in_work) AS visible_at, attempts, cause, data
FROM (
    SELECT number AS place, since, sum(size) OVER (
            ORDER BY since, number ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT number, size, since FROM (
            SELECT number, size,
                max(queued_at) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) AS since
            FROM (
                SELECT number, queued_at, octet_length(data) + coalesce(octet_length(cause), 0) AS size
                FROM hub.queued WHERE queue = :queue AND visible_at = 0
                ORDER BY number LIMIT :limit) AS waiting) AS ready
        UNION ALL
        SELECT number, size, since FROM (
            SELECT number, octet_length(data) + coalesce(octet_length(cause), 0) AS size,
                visible_at AS since
            FROM hub.queued WHERE queue = :queue AND visible_at > 0
            ORDER BY visible_at, number LIMIT :limit) AS later
        ORDER BY since, number LIMIT :limit) AS page) AS measured
JOIN hub.queued ON number = place
WHERE before < :most_bytes OR before = 0 ORDER BY since, number;

-- queue_next: when the first message of a queue is ready, or was
SELECT min(visible_at) FROM hub.queued WHERE queue = :queue AND visible_at < :in_work;

-- queue_in_work: which messages of a queue are in work
SELECT number, message_id, deaths, attempts FROM hub.queued
WHERE queue = :queue AND visible_at = :in_work ORDER BY number;

-- queue_done: messages are done with
DELETE FROM hub.queued WHERE number = ANY (:numbers::bigint[]);

-- queue_later: messages go back into their queue
UPDATE hub.queued SET visible_at = one.visible_at, attempts = one.attempts
FROM unnest(:numbers::bigint[], :visible::bigint[], :attempts::bigint[])
    AS one (number, visible_at, attempts)
WHERE queued.number = one.number;

-- queue_fail: messages are put aside
WITH gone AS (
    DELETE FROM hub.queued USING unnest(:numbers::bigint[], :functions::text[], :times::bigint[],
        :errors::text[]) WITH ORDINALITY AS one (number, function, failed_at, error, place)
    WHERE queued.number = one.number
    RETURNING place, queue, one.function, message_id, attempts, one.failed_at, one.error, cause,
        data, coalesce(came_at, queued_at) AS came_at)
INSERT INTO hub.failed_delivery (source, name, function, message_id, attempts, failed_at, error,
    cause, content, came_at)
SELECT 'queue', queue, function, message_id, attempts, failed_at, error, cause, data, came_at
FROM gone
ORDER BY place;

-- queue_resume: messages are in work still, and are taken again
WITH resumed AS (
    UPDATE hub.queued SET attempts = one.attempts, deaths = one.deaths
    FROM unnest(:numbers::bigint[], :attempts::integer[], :deaths::integer[])
        AS one (number, attempts, deaths)
    WHERE queued.number = one.number AND visible_at = :in_work AND queue = :queue
    RETURNING queued.number, message_id, coalesce(came_at, queued_at) AS queued_at,
        queued.attempts, cause, data, queued.deaths)
SELECT * FROM resumed ORDER BY number;

-- queue_page: messages that are ready, as they are taken, as long as they fit, one at least
SELECT number, message_id, coalesce(came_at, queued_at) AS queued_at, attempts + 1 AS attempts,
    cause, data, deaths
FROM (
    SELECT number AS place, since, sum(size) OVER (
            ORDER BY since, number ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT number, size, since FROM (
            SELECT number, size,
                max(queued_at) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) AS since
            FROM (
                SELECT number, queued_at, octet_length(data) + coalesce(octet_length(cause), 0) AS size
                FROM hub.queued WHERE queue = :queue AND visible_at = 0
                ORDER BY number LIMIT :limit) AS waiting) AS ready
        UNION ALL
        SELECT number, size, since FROM (
            SELECT number, octet_length(data) + coalesce(octet_length(cause), 0) AS size,
                visible_at AS since
            FROM hub.queued WHERE queue = :queue AND visible_at > 0 AND visible_at <= :now
            ORDER BY visible_at, number LIMIT :limit) AS later
        ORDER BY since, number LIMIT :limit) AS page) AS measured
JOIN hub.queued ON number = place
WHERE before < :most_bytes OR before = 0 ORDER BY since, number;

-- queue_take: messages are in work, and the attempt counts
UPDATE hub.queued SET visible_at = :in_work, attempts = attempts + 1
WHERE number = ANY (:numbers::bigint[]);

-- queue_last: the newest message of all queues
SELECT max(number) FROM hub.queued;

-- queue_drop: delete messages of a queue by id
DELETE FROM hub.queued WHERE queue = :queue AND message_id = ANY (:message_ids::text[]);

-- queue_drop_all: delete messages of a queue up to one, some at a time, as long as they fit, one at
-- least
DELETE FROM hub.queued WHERE number IN (
    SELECT number FROM (
        SELECT number, sum(size) OVER (
            ORDER BY visible_at, number ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT visible_at, number, octet_length(data) AS size FROM hub.queued
            WHERE queue = :queue AND number <= :last
            ORDER BY visible_at, number LIMIT :limit) AS page) AS measured
    WHERE before < :most_bytes OR before = 0);
