-- Every statement that runs on an open hub, but for pragmas and transactions. A block begins with
-- its name and purpose. Lists go in as JSON arrays and results come out as one JSON value: each
-- row fetched would cost a wait for the interpreter lock (ENGINE rule 23).

-- create_hub: the constant facts of a new hub
INSERT INTO hub (id, partitions, secret)
    VALUES (1, :partitions, lower(hex(randomblob(32))));

-- create_partition: one partition of a new hub
INSERT INTO partition (partition) VALUES (:partition);

-- hub_partitions: how many partitions the hub has
SELECT partitions FROM hub;

-- hub_secret: what the server signs its links with
SELECT secret FROM hub;

-- copied_at: up to when a copy reaches; NULL when this is none
SELECT copied_at FROM hub;

-- incarnation: which life of the store this is
SELECT incarnation FROM hub;

-- instance_count: how many instances there are
SELECT count(*) FROM instance;

-- mark_copy: from now on this file is a copy, which reaches up to a moment
UPDATE hub SET copied_at = :copied_at;

-- begin_new_life: a copy becomes a store of its own
UPDATE hub SET copied_at = NULL, incarnation = lower(hex(randomblob(16)));

-- part_from_owners: a copy is to be started though its host had not stopped; of a store nothing
UPDATE partition SET owner = NULL WHERE (SELECT copied_at FROM hub) IS NOT NULL;

-- is_empty: whether the file holds no table at all
SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema);

-- commit: a whole transaction (the trigger of the view is its body)
INSERT INTO commit_batch (
    batch_id, owner, number, refused, fences, purged, instances, replaced, updates, history, forget,
    unread, links, inbox, consumed, dead_letters, answers, released, published, queued, topic_waits,
    usage)
VALUES (
    :batch_id, :owner, :number, :refused, :fences, :purged, :instances, :replaced, :updates,
    :history, :forget, :unread, :links, :inbox, :consumed, :dead_letters, :answers, :released,
    :published, :queued, :topic_waits, :usage);

-- landed: iids that were refused in a batch that has landed; no row when it has not
SELECT coalesce(refused, '[]') FROM landed
WHERE owner = :owner AND number = :number AND batch_id = :batch_id;

-- is_next: whether an owner's next commit may have this number
SELECT EXISTS (SELECT 1 FROM landed WHERE owner = :owner AND number = :number - 1);

-- not_held: partitions whose leases do not hold
SELECT json_group_array(fence.value ->> 0) FROM json_each(:fences) AS fence
LEFT JOIN partition ON partition = fence.value ->> 0 AND owner = fence.value ->> 1
    AND epoch = fence.value ->> 2
WHERE epoch IS NULL;

-- taken_ids: which of these instance ids exist, with their iids
SELECT json_group_object(instance_id, iid) FROM instance
WHERE instance_id IN (SELECT value FROM json_each(:ids));

-- messages_to: partitions and ids of the messages that wait for these instance ids
SELECT json_group_array(json_array(partition, message_id)) FROM inbox
WHERE instance_id IN (SELECT value FROM json_each(:ids));

-- next_arrival: draw an arrival number, for an instance from outside
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'inbox' RETURNING seq;

-- forget_landed: whoever owns nothing and is not about to has nothing in doubt any more
DELETE FROM landed WHERE owner NOT IN (SELECT owner FROM partition WHERE owner IS NOT NULL);

-- begin_landed: an owner begins to commit
INSERT OR IGNORE INTO landed (owner) VALUES (:owner);

-- acquire: own these partitions or all of them, in a new epoch
UPDATE partition SET
    deaths = CASE WHEN owner IS NULL THEN 0 WHEN owner = :owner THEN deaths
        WHEN served THEN 1 ELSE deaths + 1 END,
    served = 0, owner = :owner, epoch = epoch + 1
WHERE :partitions IS NULL OR partition IN (SELECT value FROM json_each(:partitions));

-- reserve_iids: give out so many numbers; the last of them
UPDATE hub SET last_iid = last_iid + :count RETURNING last_iid;

-- served: the owner of a partition has served for a while: it did not die young
UPDATE partition SET served = 1, deaths = 0
WHERE partition = :partition AND owner = :owner AND epoch = :epoch;

-- set_deliveries: how often instances were tried, after hosts had died
UPDATE instance SET deliveries = changed.value ->> 1
    FROM json_each(:rows) AS changed WHERE iid = changed.value ->> 0;

-- write_note: keep a note, if the partition is still ours; a row when it is
INSERT INTO note (key, text)
    SELECT :key, :text FROM partition
    WHERE partition = :partition AND owner = :owner AND epoch = :epoch
ON CONFLICT (key) DO UPDATE SET text = excluded.text RETURNING 1;

-- notes: those of these keys that there are
SELECT json_group_object(key, text) FROM note WHERE key IN (SELECT value FROM json_each(:keys));

-- deaths: owners of a partition in a row that died young
SELECT deaths FROM partition WHERE partition = :partition;

-- misfits: held instances that are no harm to others, of one reason or all, oldest first
SELECT json_group_array(iid) FROM (
    SELECT iid FROM instance
    WHERE held IS NOT NULL AND partition IN (SELECT value FROM json_each(:partitions))
        AND held ->> 'reason' NOT IN (SELECT value FROM json_each(:harmful))
        AND (:reason IS NULL OR held ->> 'reason' = :reason)
    ORDER BY created_at, iid);

-- release: give a partition back, if it is still ours
UPDATE partition SET owner = NULL
WHERE partition = :partition AND owner = :owner AND epoch = :epoch;

-- leases: partitions that are owned, with their owners and epochs
SELECT json_group_array(json_array(partition, owner, epoch))
FROM (SELECT * FROM partition WHERE owner IS NOT NULL ORDER BY partition);

-- answers: what became of messages from outside
SELECT json_group_array(json_array(message_id, code, text)) FROM answer
WHERE message_id IN (SELECT value FROM json_each(:ids));

-- link: a link by the digest of its token, with how its instance stands
SELECT json_array(instance_id, execution_id, status, json(link)) FROM link
JOIN instance ON instance.iid = link.iid WHERE digest = :digest;

-- is_waiting: whether a message waits in the inbox
SELECT EXISTS (SELECT 1 FROM inbox WHERE message_id = :message_id);

-- open_by_root: unfinished instances below each root
SELECT json_group_object(root_id, open) FROM (
    SELECT root_id, count(*) AS open FROM instance
    WHERE partition = :partition AND depth > 0 AND status NOT IN (1, 3, 4, 5)
    GROUP BY root_id);

-- open_below: unfinished instances of some partitions below each of some roots
SELECT json_group_object(root_id, open) FROM (
    SELECT root_id, count(*) AS open FROM instance
    WHERE partition IN (SELECT value FROM json_each(:partitions)) AND depth > 0
        AND status NOT IN (1, 3, 4, 5) AND root_id IN (SELECT value FROM json_each(:roots))
    GROUP BY root_id);

-- cursor: the last arrival number
SELECT seq FROM sqlite_sequence WHERE name = 'inbox';

-- due: instances whose time comes, after a time or from the first on; of those that have ended, who still has a call to be made
SELECT json_group_array(json_array(wake_at, iid, partition)) FROM (
    SELECT wake_at, iid, partition FROM json_each(:partitions) AS wanted
    CROSS JOIN instance ON partition = wanted.value
    WHERE wake_at > coalesce(:after, -1) AND wake_at <= :until AND wake_at IS NOT NULL
    ORDER BY wake_at, iid);

-- next_wake: the first time after one at which an instance is due; of each partition the index knows it
SELECT min(soonest) FROM (
    SELECT (SELECT wake_at FROM instance
        WHERE partition = wanted.value AND wake_at > :after AND wake_at IS NOT NULL
        ORDER BY wake_at LIMIT 1) AS soonest
    FROM json_each(:partitions) AS wanted);

-- arrival_numbers: how far each table has counted that others may add to
SELECT json_group_object(name, seq) FROM sqlite_sequence;

-- inbox_page: numbers and lengths of the next messages of a partition; the text is not read
SELECT json_group_array(json_array(number, bytes)) FROM (
    SELECT number, octet_length(message) AS bytes FROM inbox
    WHERE number > :after AND partition = :partition ORDER BY number LIMIT :rows);

-- arrived_messages: numbers and lengths of the next messages after the cursors of partitions
WITH wanted (partition, cursor) AS MATERIALIZED (
    SELECT value ->> 0, value ->> 1 FROM json_each(:cursors))
SELECT json_group_array(json_array(number, bytes)) FROM (
    SELECT number, octet_length(message) AS bytes
    FROM inbox CROSS JOIN wanted ON wanted.partition = inbox.partition
    WHERE number > :least AND number > cursor ORDER BY number LIMIT :rows);

-- arrived_instances: arrival numbers and lengths of the next instances from outside after these
-- cursors that nobody has run yet
WITH wanted (partition, cursor) AS MATERIALIZED (
    SELECT value ->> 0, value ->> 1 FROM json_each(:cursors))
SELECT json_group_array(json_array(-iid, bytes)) FROM (
    SELECT iid, 500 + coalesce(octet_length(input), 0) AS bytes
    FROM instance CROSS JOIN wanted ON wanted.partition = instance.partition
    WHERE iid < -:least AND iid < -cursor AND status = 6 ORDER BY iid DESC LIMIT :rows);

-- waiting_messages: numbers of the messages that wait for some instances
SELECT json_group_array(number) FROM (
    SELECT inbox.number FROM json_each(:keys) AS wanted
    CROSS JOIN instance ON instance.iid = wanted.value
    CROSS JOIN inbox ON inbox.instance_id = instance.instance_id
    ORDER BY inbox.number);

-- messages: messages by number
SELECT CAST('[' || coalesce(group_concat('[' || number || ',[' || json_quote(message_id) || ','
    || partition || ',' || json_quote(instance_id) || ',' || message || ']]'), '') || ']' AS BLOB)
FROM json_each(:keys) AS wanted CROSS JOIN inbox ON inbox.number = wanted.value;

-- message_bytes: a message by number, whatever it holds
SELECT message_id, partition, instance_id, CAST(message AS BLOB) FROM inbox WHERE number = :number;

-- records: instances by iid
SELECT CAST('[' || coalesce(group_concat(record), '') || ']' AS BLOB)
FROM json_each(:keys) AS wanted CROSS JOIN instance_record ON iid = wanted.value;

-- summaries: instances by iid, without input and output
SELECT CAST('[' || coalesce(group_concat(record), '') || ']' AS BLOB)
FROM json_each(:keys) AS wanted CROSS JOIN instance_summary ON iid = wanted.value;

-- record_sizes: how long instances are by iid, with input and output or without
SELECT json_group_array(json_array(iid, 500 + coalesce(octet_length(custom_status), 0)
    + coalesce(octet_length(failure), 0) + coalesce(octet_length(tags), 0)
    + coalesce(octet_length(version), 0) + octet_length(name)
    + iif(:payloads, coalesce(octet_length(input), 0) + coalesce(octet_length(output), 0), 0)))
FROM json_each(:keys) AS wanted CROSS JOIN instance ON iid = wanted.value;

-- iids: the iids of instance ids
SELECT json_group_array(iid) FROM json_each(:ids) AS wanted
CROSS JOIN instance ON instance.instance_id = wanted.value;

-- turns: the history of the current generation of instances, those without one left out
SELECT CAST('[' || coalesce(group_concat('[' || iid || ',[' || turns || ']]'), '') || ']' AS BLOB)
FROM (
    SELECT instance.iid, (
        SELECT group_concat(events) FROM (
            SELECT events FROM history
            WHERE history.iid = instance.iid AND history.generation = instance.generation
            ORDER BY turn)) AS turns
    FROM json_each(:keys) AS wanted CROSS JOIN instance ON instance.iid = wanted.value)
WHERE turns IS NOT NULL;

-- turns_alone: the same for one instance, row by row, when it is too long for one value
SELECT CAST(events AS BLOB) FROM history
JOIN instance ON instance.iid = history.iid AND instance.generation = history.generation
WHERE history.iid = :iid ORDER BY turn;

-- last_turns: the last row before the current generation of instances
SELECT CAST('[' || coalesce(group_concat('[' || iid || ',' || events || ']'), '') || ']' AS BLOB)
FROM (
    SELECT instance.iid, (
        SELECT events FROM history
        WHERE history.iid = instance.iid AND history.generation < instance.generation
        ORDER BY generation DESC, turn DESC LIMIT 1) AS events
    FROM json_each(:keys) AS wanted CROSS JOIN instance ON instance.iid = wanted.value)
WHERE events IS NOT NULL;

-- last_generation: of an instance, the newest generation that has a history
SELECT max(generation) FROM history WHERE iid = :iid;

-- turns_after: the turns of one generation after a turn, row by row
SELECT turn, CAST(events AS BLOB) FROM history
WHERE iid = :iid AND generation = :generation AND turn > :after ORDER BY turn;

-- previous_turns: the whole generation before the current one, row by row
SELECT CAST(events AS BLOB) FROM history
WHERE iid = :iid AND generation = (
    SELECT max(old.generation) FROM history AS old
    JOIN instance ON instance.iid = old.iid AND old.generation < instance.generation
    WHERE old.iid = :iid)
ORDER BY turn;

-- waiting_start: the number of the oldest start of an id that waits in the inbox
SELECT min(number) FROM inbox
WHERE instance_id = :instance_id
    AND CASE WHEN json_valid(message) THEN message ->> '$.type' = 'Start' ELSE false END;

-- is_asked: whether a request of certain kinds to an instance waits to be taken in
SELECT EXISTS (
    SELECT 1 FROM inbox
    WHERE instance_id = :instance_id AND CASE WHEN json_valid(message)
        THEN message ->> '$.type' IN (SELECT value FROM json_each(:kinds)) ELSE false END);

-- held_counts: how many instances are held, by reason
SELECT json_group_object(reason, total) FROM (
    SELECT held ->> 'reason' AS reason, count(*) AS total FROM instance
    WHERE held IS NOT NULL GROUP BY reason);

-- open_counts: how many instances of each status have not ended and are not held, each up to a bound
SELECT json_group_object(status.value, (
    SELECT count(*) FROM (
        SELECT 1 FROM instance
        WHERE instance.status = status.value AND completed_at IS NULL AND held IS NULL
        LIMIT :most)))
FROM json_each(:statuses) AS status;

-- unread: events that earlier generations of instances have left unread
SELECT CAST('[' || coalesce(group_concat('[' || iid || ',' || number || ',' || event || ']'), '')
    || ']' AS BLOB)
FROM (
    SELECT unread.iid, unread.number, unread.event
    FROM json_each(:keys) AS wanted CROSS JOIN unread ON unread.iid = wanted.value
    ORDER BY unread.iid, unread.number);

-- unread_alone: the same for one instance, row by row, when it is too long for one value
SELECT iid, number, CAST(event AS BLOB) FROM unread WHERE iid = :iid ORDER BY number;

-- list_newest: a page of iids with creation times, newest first
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance
    WHERE created_at >= :created_from AND created_at < :created_to
        AND (created_at, iid) < (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:id_from IS NULL OR (instance_id >= :id_from AND instance_id < :id_to))
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY created_at DESC, iid DESC LIMIT :rows);

-- list_oldest: the same, oldest first
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance
    WHERE created_at >= :created_from AND created_at < :created_to
        AND (created_at, iid) > (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:id_from IS NULL OR (instance_id >= :id_from AND instance_id < :id_to))
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY created_at, iid LIMIT :rows);

-- list_held_newest: the same among those that are held
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance INDEXED BY instance_held
    WHERE +created_at >= :created_from AND +created_at < :created_to
        AND (+created_at, iid) < (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND held IS NOT NULL
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY +created_at DESC, iid DESC LIMIT :rows);

-- list_held_oldest: the same, oldest first
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance INDEXED BY instance_held
    WHERE +created_at >= :created_from AND +created_at < :created_to
        AND (+created_at, iid) > (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND held IS NOT NULL
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY +created_at, iid LIMIT :rows);

-- list_failed_newest: the same among those that have failed or were terminated
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance INDEXED BY instance_failed
    WHERE status IN (3, 5)
        AND created_at >= :created_from AND created_at < :created_to
        AND (created_at, iid) < (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND status IN (SELECT value FROM json_each(:statuses))
    ORDER BY created_at DESC, iid DESC LIMIT :rows);

-- list_failed_oldest: the same, oldest first
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance INDEXED BY instance_failed
    WHERE status IN (3, 5)
        AND created_at >= :created_from AND created_at < :created_to
        AND (created_at, iid) > (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND status IN (SELECT value FROM json_each(:statuses))
    ORDER BY created_at, iid LIMIT :rows);

-- list_open_newest: the same among those that have not ended, where they are few
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM (
        SELECT created_at, iid, name FROM instance INDEXED BY instance_open
        WHERE completed_at IS NULL AND held IS NULL
            AND status IN (SELECT value FROM json_each(:statuses))
        UNION ALL
        SELECT created_at, iid, name FROM instance INDEXED BY instance_held
        WHERE held IS NOT NULL AND :held IS NULL
            AND status IN (SELECT value FROM json_each(:statuses)))
    WHERE created_at >= :created_from AND created_at < :created_to
        AND (created_at, iid) < (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
    ORDER BY created_at DESC, iid DESC LIMIT :rows);

-- list_open_oldest: the same, oldest first
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM (
        SELECT created_at, iid, name FROM instance INDEXED BY instance_open
        WHERE completed_at IS NULL AND held IS NULL
            AND status IN (SELECT value FROM json_each(:statuses))
        UNION ALL
        SELECT created_at, iid, name FROM instance INDEXED BY instance_held
        WHERE held IS NOT NULL AND :held IS NULL
            AND status IN (SELECT value FROM json_each(:statuses)))
    WHERE created_at >= :created_from AND created_at < :created_to
        AND (created_at, iid) > (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
    ORDER BY created_at, iid LIMIT :rows);

-- some_open: how many have not ended, are not held and have one of these statuses; no more are counted
SELECT count(*) FROM (SELECT 1 FROM instance INDEXED BY instance_open
    WHERE completed_at IS NULL AND held IS NULL
        AND status IN (SELECT value FROM json_each(:statuses)) LIMIT :most);

-- some_held: how many are held; no more are counted
SELECT count(*) FROM (SELECT 1 FROM instance INDEXED BY instance_held
    WHERE held IS NOT NULL LIMIT :most);

-- some_prefixed: how many ids begin so; no more are counted
SELECT count(*) FROM (SELECT 1 FROM instance
    WHERE instance_id >= :id_from AND instance_id < :id_to LIMIT :most);

-- list_prefix_newest: the same among ids with a prefix; the plus keeps it on the index of ids
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance
    WHERE instance_id >= :id_from AND instance_id < :id_to
        AND +created_at >= :created_from AND +created_at < :created_to
        AND (+created_at, iid) < (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY +created_at DESC, iid DESC LIMIT :rows);

-- list_prefix_oldest: the same, oldest first
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance
    WHERE instance_id >= :id_from AND instance_id < :id_to
        AND +created_at >= :created_from AND +created_at < :created_to
        AND (+created_at, iid) > (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY +created_at, iid LIMIT :rows);

-- list_children_newest: a page of an instance's children, newest first; the plus keeps it on their index
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance
    WHERE parent IS NOT NULL AND json_extract(parent, '$.instanceId') = :parent
        AND +created_at >= :created_from AND +created_at < :created_to
        AND (+created_at, iid) < (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY +created_at DESC, iid DESC LIMIT :rows);

-- list_children_oldest: the same, oldest first
SELECT json_group_array(json_array(created_at, iid)) FROM (
    SELECT created_at, iid FROM instance
    WHERE parent IS NOT NULL AND json_extract(parent, '$.instanceId') = :parent
        AND +created_at >= :created_from AND +created_at < :created_to
        AND (+created_at, iid) > (:after_time, :after_iid)
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:completed_from IS NULL OR completed_at >= :completed_from)
        AND (:completed_to IS NULL OR completed_at < :completed_to)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY +created_at, iid LIMIT :rows);

-- list_last_completed: a page of iids with times of completion, the last first
SELECT json_group_array(json_array(completed_at, iid)) FROM (
    SELECT completed_at, iid FROM instance
    WHERE completed_at IS NOT NULL
        AND completed_at >= coalesce(:completed_from, -9223372036854775808)
        AND completed_at < coalesce(:completed_to, 9223372036854775807)
        AND (completed_at, iid) < (:after_time, :after_iid)
        AND created_at >= :created_from AND created_at < :created_to
        AND (:parent IS NULL OR json_extract(parent, '$.instanceId') = :parent)
        AND (:id_from IS NULL OR (instance_id >= :id_from AND instance_id < :id_to))
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY completed_at DESC, iid DESC LIMIT :rows);

-- list_first_completed: the same, the first first
SELECT json_group_array(json_array(completed_at, iid)) FROM (
    SELECT completed_at, iid FROM instance
    WHERE completed_at IS NOT NULL
        AND completed_at >= coalesce(:completed_from, -9223372036854775808)
        AND completed_at < coalesce(:completed_to, 9223372036854775807)
        AND (completed_at, iid) > (:after_time, :after_iid)
        AND created_at >= :created_from AND created_at < :created_to
        AND (:parent IS NULL OR json_extract(parent, '$.instanceId') = :parent)
        AND (:id_from IS NULL OR (instance_id >= :id_from AND instance_id < :id_to))
        AND (:name IS NULL OR name = :name)
        AND (:held IS NULL OR (held IS NOT NULL) = :held)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    ORDER BY completed_at, iid LIMIT :rows);

-- dead_letter_numbers: numbers of the newest dead letters
SELECT json_group_array(number) FROM (
    SELECT number FROM dead_letter ORDER BY number DESC LIMIT :rows);

-- dead_letters: dead letters by number
SELECT CAST('[' || coalesce(group_concat('[' || json_quote(message_id) || ','
    || json_quote(instance_id) || ',' || json_quote(reason) || ',' || created_at || ',' || message
    || ',' || coalesce(acknowledged_at, 'null') || ']'), '') || ']' AS BLOB)
FROM json_each(:keys) AS wanted CROSS JOIN dead_letter ON dead_letter.number = wanted.value;

-- dead_letter_count: how many dead letters there are, the newest's time, how many are not acknowledged
SELECT json_array(count(*), max(created_at), count(*) FILTER (WHERE acknowledged_at IS NULL))
FROM dead_letter;

-- acknowledge_dead_letters: note that somebody has seen to them, by message id, or to all of them
UPDATE dead_letter SET acknowledged_at = :now
WHERE acknowledged_at IS NULL
    AND (:ids IS NULL OR message_id IN (SELECT value FROM json_each(:ids)));

-- dead_letter_sizes: the newest dead letters below a number, and how long they are
SELECT json_group_array(json_array(number, size)) FROM (
    SELECT number, octet_length(message) + octet_length(reason) AS size FROM dead_letter
    WHERE number < :before ORDER BY number DESC LIMIT :rows);

-- redrive: put the message of a dead letter into the inbox again, under a name of its own
INSERT OR IGNORE INTO inbox (message_id, partition, instance_id, message)
SELECT 'redriven-' || number, :partition, instance_id,
    json_set(message, '$.messageId', 'redriven-' || number)
FROM dead_letter WHERE number = :number;

-- dead_letter_number: the number of the newest dead letter with this message id
SELECT max(number) FROM dead_letter WHERE message_id = :message_id;

-- all_dead_letters: the numbers of all dead letters, the oldest first
SELECT json_group_array(number) FROM (SELECT number FROM dead_letter ORDER BY number);

-- is_dead_letter: whether a dead letter is still there
SELECT 1 FROM dead_letter WHERE number = :number;

-- drop_dead_letters: delete dead letters by message id, or all of them
DELETE FROM dead_letter
WHERE :ids IS NULL OR message_id IN (SELECT value FROM json_each(:ids));

-- drop_dead_letter: delete one dead letter
DELETE FROM dead_letter WHERE number = :number;

-- status_counts: how many instances have which status
SELECT json_group_object(status, total) FROM (
    SELECT status, count(*) AS total FROM instance GROUP BY status);

-- inbox_counts: how many messages wait, for how many instances
SELECT json_array(count(*), count(DISTINCT instance_id)) FROM inbox;

-- inbox_waiting: the oldest waiting messages: number and instance
SELECT json_group_array(json_array(number, instance_id)) FROM (
    SELECT number, instance_id FROM inbox ORDER BY number LIMIT :rows);

-- oldest_pending: when the oldest instance that has not begun was started
SELECT min(created_at) FROM instance
WHERE status = 6 AND coalesce(scheduled_at, 0) <= :now;

-- turn_count: how many turns the current generation of an instance has; read from the index alone
SELECT count(*) FROM history
WHERE iid = :iid AND generation = (SELECT generation FROM instance WHERE iid = :iid);

-- history_bytes: how long the history of an instance is; octet_length does not read the text
SELECT coalesce(sum(octet_length(events)), 0) FROM history WHERE iid = :iid;

-- lost_histories: numbers of histories without an instance
SELECT json_group_array(iid) FROM (
    SELECT DISTINCT iid FROM history
    WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.iid = history.iid)
    ORDER BY iid LIMIT :rows);

-- without_history: instances that have begun, of which no turn is left (a pending one has none yet,
-- nor has one that was suspended before its time; a seed of the next generation stands in the one
-- before)
SELECT json_group_array(instance_id) FROM (
    SELECT instance_id FROM instance
    WHERE status <> 6 AND NOT (status = 7 AND scheduled_at IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM history WHERE history.iid = instance.iid)
    ORDER BY iid LIMIT :rows);

-- lost_messages: messages that answer the work of an instance that is not there
SELECT json_group_array(instance_id) FROM (
    SELECT DISTINCT instance_id FROM inbox
    WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.instance_id = inbox.instance_id)
        AND CASE WHEN json_valid(message)
            THEN message ->> '$.type' NOT IN ('Start', 'Publish') ELSE true END
        AND partition >= 0 AND partition < (SELECT partitions FROM hub)
    ORDER BY instance_id LIMIT :rows);

-- unserved_partitions: those in which messages wait, and that the hub has not
SELECT json_group_array(partition) FROM (
    SELECT DISTINCT partition FROM inbox
    WHERE partition < 0 OR partition >= (SELECT partitions FROM hub)
    ORDER BY partition LIMIT :rows);

-- unknown_types: what waiting messages say that they are, but for these types
SELECT json_group_array(type) FROM (
    SELECT DISTINCT CASE WHEN json_valid(message) THEN message ->> '$.type' END AS type FROM inbox
    WHERE typeof(type) = 'text' AND type NOT IN (SELECT value FROM json_each(:known)) ORDER BY type LIMIT :rows);

-- marks: how far instances are, a page of them by iid: iid, instance id, what changes when they do.
-- A turn need not change the row; the number of the last one is read from the index alone.
SELECT json_group_array(json_array(iid, instance_id, mark)) FROM (
    SELECT iid, instance_id,
        execution_id || '.' || generation || '.' || status || '.' || updated_at || '.' || iif(
            status IN (1, 3, 4, 5), '', (
                SELECT coalesce(max(turn), -1) FROM history
                WHERE history.iid = instance.iid AND history.generation = instance.generation)
        ) AS mark
    FROM instance WHERE iid > :after ORDER BY iid LIMIT :rows);

-- is_sealed: whether it refuses what follows
SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'imported_owner');

-- refuse_owners: nobody will own this store any more ...
CREATE TRIGGER imported_owner BEFORE UPDATE OF owner ON partition WHEN new.owner IS NOT NULL
BEGIN SELECT raise(ABORT, 'imported'); END;

-- refuse_instances: ... nor start something in it ...
CREATE TRIGGER imported_instance BEFORE INSERT ON instance
BEGIN SELECT raise(ABORT, 'imported'); END;

-- refuse_messages: ... nor ask something of what is in it ...
CREATE TRIGGER imported_message BEFORE INSERT ON inbox
BEGIN SELECT raise(ABORT, 'imported'); END;

-- refuse_events: ... nor publish to its topics ...
CREATE TRIGGER imported_event BEFORE INSERT ON event
BEGIN SELECT raise(ABORT, 'imported'); END;

-- refuse_queued: ... nor put something into its queues
CREATE TRIGGER imported_queued BEFORE INSERT ON queued
BEGIN SELECT raise(ABORT, 'imported'); END;

-- put_linked_hub: make a link, or give it another address or key
INSERT INTO linked_hub (name, url, called, key) VALUES (:name, :url, :called, :key)
ON CONFLICT (name) DO UPDATE SET url = excluded.url, called = excluded.called, key = excluded.key,
    problem = NULL;

-- bound_links: so much may wait for each hub
UPDATE linked_hub SET most_messages = :messages, most_bytes = :bytes;

-- drop_linked_hub: a link is no more
DELETE FROM linked_hub WHERE name = :name;

-- link_names: how all linked hubs are called here
SELECT json_group_array(name) FROM linked_hub;

-- linked_hubs: all links, with what waits
SELECT CAST(json_group_array(json_object(
    'name', name, 'url', url, 'called', called, 'key', key, 'life', life, 'received', received,
    'delivered', delivered, 'deliveredMark', delivered_mark, 'heardAt', heard_at, 'problem', problem,
    'mostMessages', most_messages, 'mostBytes', most_bytes,
    'waiting', coalesce(messages, 0), 'waitingBytes', coalesce(bytes, 0),
    'heldBytes', (
        SELECT coalesce(sum(octet_length(text)), 0) FROM incoming_piece WHERE hub = name))) AS BLOB)
FROM (SELECT * FROM linked_hub LEFT JOIN outgoing_total ON hub = name ORDER BY name);

-- outgoing_sizes: numbers and lengths of the next messages for a hub
SELECT json_group_array(json_array(sequence, bytes)) FROM (
    SELECT sequence, octet_length(message) AS bytes FROM outgoing
    WHERE hub = :hub AND sequence > :after ORDER BY sequence LIMIT :rows);

-- outgoing: messages for a hub, by number
SELECT CAST('[' || coalesce(group_concat('[' || sequence || ',' || json_quote(message_id) || ','
    || json_quote(instance_id) || ',' || message || ']'), '') || ']' AS BLOB)
FROM (
    SELECT * FROM outgoing WHERE hub = :hub AND sequence >= :first AND sequence <= :last
    ORDER BY sequence);

-- known_delivered: the last number that was given out, and the last message that a hub has
SELECT json_array(
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outgoing'), 0),
    coalesce((SELECT delivered FROM linked_hub WHERE name = :hub), 0),
    coalesce((SELECT delivered_mark FROM linked_hub WHERE name = :hub), ''));

-- final_outgoing: the last of some numbers that waits for a hub
SELECT max(sequence) FROM outgoing WHERE hub = :hub AND sequence >= :first AND sequence <= :last;

-- outgoing_between: how many messages for a hub, and how long they are
SELECT json_array(count(*), coalesce(sum(octet_length(message)), 0)) FROM outgoing
WHERE hub = :hub AND sequence >= :first AND sequence <= :last;

-- drop_outgoing: the other hub has these, or refuses the last one of them
DELETE FROM outgoing WHERE hub = :hub AND sequence >= :first AND sequence <= :last;

-- calls_given_up: calls among some of what waits for a hub that is linked no more, and who has made
-- them
SELECT json_group_array(json_array(message_id, hub, message -> '$.event.parent')) FROM outgoing
WHERE hub = :hub AND sequence >= :first AND sequence <= :last
    AND message ->> '$.type' = 'Start' AND message -> '$.event.parent' IS NOT NULL;

-- bury_outgoing: what else is among it is a dead letter
INSERT INTO dead_letter (message_id, instance_id, reason, created_at, message)
SELECT message_id, hub || '/' || instance_id, 'TN-1801 the link ' || json_quote(hub) || ' was removed',
    :now, json(message)
FROM outgoing
WHERE hub = :hub AND sequence >= :first AND sequence <= :last
    AND (message ->> '$.type' <> 'Start' OR message -> '$.event.parent' IS NULL)
ORDER BY sequence;

-- forget_dead_letters: those that are too many or too old (the trigger of the view does that)
INSERT INTO add_dead_letters VALUES ('[]');

-- orphaned_hubs: which hubs something waits for that are not linked; the index is asked for the next
WITH RECURSIVE found (hub) AS (
    SELECT min(hub) FROM outgoing
    UNION ALL
    SELECT (SELECT min(hub) FROM outgoing WHERE outgoing.hub > found.hub) FROM found
    WHERE hub IS NOT NULL)
SELECT json_group_array(hub) FROM found
WHERE hub IS NOT NULL AND hub NOT IN (SELECT name FROM linked_hub);

-- note_delivered: how far the other hub has come
UPDATE linked_hub SET delivered = max(delivered, :sequence),
    delivered_mark = iif(:sequence < delivered, delivered_mark, :mark), heard_at = :now,
    problem = NULL
WHERE name = :hub;

-- note_heard: when a hub was heard of, and what is wrong
UPDATE linked_hub SET heard_at = coalesce(:now, heard_at), problem = :problem WHERE name = :hub;

-- place: life, earlier lives and place of the other hub
SELECT json_array(life, json(past_lives), received, received_mark) FROM linked_hub WHERE name = :hub;

-- new_life: the other hub begins anew; of its earlier lives the newest hundred are known
UPDATE linked_hub SET received = 0, received_mark = '', life = :life,
    past_lives = iif(life = '', past_lives, json_insert(
        iif(json_array_length(past_lives) < 100, past_lives, json_remove(past_lives, '$[0]')),
        '$[#]', life))
WHERE name = :hub;

-- received: the other hub's messages up to this number are here
UPDATE linked_hub SET received = :sequence, received_mark = :mark, heard_at = :now, problem = NULL
WHERE name = :hub AND received < :sequence RETURNING received;

-- drop_other_pieces: of one message of a hub at a time there are parts
DELETE FROM incoming_piece WHERE hub = :hub AND sequence <> :sequence;

-- keep_piece: a part of a message
INSERT OR IGNORE INTO incoming_piece (hub, sequence, at, text) VALUES (:hub, :sequence, :at, :text);

-- piece_held: of which message there are parts, and how many characters
SELECT json_array(sequence, sum(length(text))) FROM incoming_piece WHERE hub = :hub
GROUP BY sequence ORDER BY sequence LIMIT 1;

-- pieces: the parts of a message as one text
SELECT group_concat(text, '') FROM (
    SELECT text FROM incoming_piece WHERE hub = :hub AND sequence = :sequence ORDER BY at);

-- drop_pieces: parts of messages that are here whole, or with NULL all of a hub
DELETE FROM incoming_piece WHERE hub = :hub AND (:sequence IS NULL OR sequence <= :sequence);

-- usage: what was used between two days, both included, as rows, by what is to be told apart
SELECT json_group_array(json_array(
    day, app, kind, function, tag, executions, running, processor, waiting, memory, operations,
    bytes))
FROM (
    SELECT iif(:day, day, 0) AS day, iif(:app, app, '') AS app, kind,
        iif(:function, function, '') AS function, iif(:tag, tag, '') AS tag,
        sum(executions) AS executions, sum(running) AS running, sum(processor) AS processor,
        sum(waiting) AS waiting, sum(memory) AS memory, sum(operations) AS operations,
        sum(bytes) AS bytes
    FROM usage WHERE day BETWEEN :first AND :last AND kind <> 'root'
    GROUP BY 1, 2, 3, 4, 5 LIMIT :most);

-- root_usage: what these root instances have used with all that they call
SELECT json_group_array(json_array(
    0, '', 'root', function, '', executions, running, processor, waiting, memory, operations,
    bytes))
FROM (
    SELECT function, sum(executions) AS executions, sum(running) AS running,
        sum(processor) AS processor, sum(waiting) AS waiting, sum(memory) AS memory,
        sum(operations) AS operations, sum(bytes) AS bytes
    FROM json_each(:roots) AS wanted CROSS JOIN usage
        ON kind = 'root' AND function = wanted.value
    GROUP BY function);

-- forget_root_usage: these root instances have ended
DELETE FROM usage WHERE kind = 'root' AND function IN (SELECT value FROM json_each(:roots));

-- trim_usage: forget what was used before a day
DELETE FROM usage WHERE day < :before AND kind <> 'root';

-- trim_root_usage: of root instances that have ended, or are gone
DELETE FROM usage WHERE kind = 'root' AND NOT EXISTS (
    SELECT 1 FROM instance WHERE instance_id = function AND status NOT IN (1, 3, 4, 5));
