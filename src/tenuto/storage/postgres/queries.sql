-- The statements that run on an open hub, but for transactions. A block begins with its name and
-- purpose. ``hub.`` stands for the hub's schema, ``:name`` for an argument.

-- facts: the constant facts of a hub
SELECT schema, partitions, secret, incarnation FROM hub.hub;

-- next_owner_is_alone: what stands in the way of owning partitions
SELECT partition.partition, partition.owner, owner.description,
    owner.lease_until > clock_timestamp() AS is_held,
    extract(epoch FROM owner.lease_until - clock_timestamp())::float8 AS seconds,
    owner.lease_until::text AS until
FROM hub.partition AS partition LEFT JOIN hub.owner AS owner ON owner.owner = partition.owner
WHERE partition.owner IS NOT NULL AND NOT partition.owner = ANY (:mine::text[])
ORDER BY partition.partition;

-- forget_owners: whoever owns nothing and is not about to has nothing in doubt any more
DELETE FROM hub.owner WHERE owner <> :owner
    AND NOT EXISTS (SELECT 1 FROM hub.partition WHERE partition.owner = owner.owner)
    AND NOT EXISTS (SELECT 1 FROM hub.member WHERE member.member = owner.member);

-- forget_landed: nor their commits
DELETE FROM hub.landed
WHERE NOT EXISTS (SELECT 1 FROM hub.owner WHERE owner.owner = landed.owner);

-- begin_owner: an owner is about to own something, and lives
INSERT INTO hub.owner (owner, description, member, lease_until)
VALUES (:owner, :description, :member, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until;

-- begin_landed: and begins to commit
INSERT INTO hub.landed (owner, number, batch_id)
    SELECT :owner, 0, '' WHERE NOT EXISTS (SELECT 1 FROM hub.landed WHERE owner = :owner);

-- lock_partitions: in their order, so that nobody waits in a circle
SELECT partition FROM hub.partition
WHERE :partitions::int[] IS NULL OR partition = ANY (:partitions::int[])
ORDER BY partition FOR UPDATE;

-- acquire: own these partitions or all of them, in a new epoch
UPDATE hub.partition SET
    deaths = CASE WHEN owner IS NULL THEN 0 WHEN owner = :owner THEN deaths
        WHEN served THEN 1 ELSE deaths + 1 END,
    served = false, owner = :owner, epoch = epoch + 1
WHERE :partitions::int[] IS NULL OR partition = ANY (:partitions::int[])
RETURNING partition, epoch;

-- end_leases: of these owners, who are gone
UPDATE hub.owner SET lease_until = clock_timestamp() WHERE owner = ANY (:owners::text[]);

-- release: give partitions back that are still ours; since when nobody has them is seen so
UPDATE hub.partition SET owner = NULL, freed_at = clock_timestamp()
FROM unnest(:partitions::int[], :owners::text[], :epochs::bigint[]) AS lease (partition, owner, epoch)
WHERE partition.partition = lease.partition AND partition.owner = lease.owner
    AND partition.epoch = lease.epoch;

-- release_own: give partitions back in a commit, which holds their fences
UPDATE hub.partition SET owner = NULL, freed_at = clock_timestamp()
WHERE partition = ANY (:partitions::int[]) AND owner = :owner;

-- mark_served: the owner of these partitions has served for a while: it did not die young
UPDATE hub.partition SET served = true, deaths = 0
FROM unnest(:partitions::int[], :owners::text[], :epochs::bigint[]) AS lease (partition, owner, epoch)
WHERE partition.partition = lease.partition AND partition.owner = lease.owner
    AND partition.epoch = lease.epoch AND NOT partition.served;

-- hold: whether a lease holds; it goes on holding until the transaction is over
SELECT 1 FROM hub.partition WHERE partition = :partition AND owner = :owner AND epoch = :epoch
FOR SHARE;

-- not_held: partitions whose leases do not hold
SELECT lease.partition
FROM unnest(:partitions::int[], :owners::text[], :epochs::bigint[]) AS lease (partition, owner, epoch)
WHERE NOT EXISTS (
    SELECT 1 FROM hub.partition AS held WHERE held.partition = lease.partition
        AND held.owner = lease.owner AND held.epoch = lease.epoch);

-- owned: who owns which partitions now, in words
SELECT partition.partition, partition.owner, owner.description,
    owner.lease_until > clock_timestamp() AS lives
FROM hub.partition AS partition LEFT JOIN hub.owner AS owner ON owner.owner = partition.owner
WHERE partition.owner IS NOT NULL ORDER BY partition.partition;

-- reserve_iids: the last of so many numbers that nobody has had
UPDATE hub.hub SET last_iid = last_iid + :count RETURNING last_iid;

-- claim: whose commit it is, and that its fences hold
SELECT hub.claim(:owner, :number, :batch_id, :refused, :partitions, :epochs);

-- write_turns: what turns write; with an owner a whole commit
SELECT hub.write_turns(
    :owner, :number, :batch_id, :refused, :partitions, :epochs,
    :replacing, :i_iid, :i_created_at, :i_updated_at, :i_wake_at, :i_completed_at,
    :i_scheduled_at, :i_generation, :i_partition, :i_depth, :i_deliveries, :i_status,
    :i_instance_id, :i_name, :i_version, :i_execution_id, :i_root_id, :i_parent_id, :i_cause,
    :i_held_for, :i_parent, :i_tags, :i_trace, :i_custom_status, :i_held, :i_failure, :i_output,
    :i_input, :u_iid, :u_updated_at, :u_wake_at, :u_completed_at, :u_status, :u_held_for,
    :u_custom_status, :u_held, :u_failure, :u_output, :h_iid, :h_generation, :h_turn, :h_events,
    :f_iid, :f_generation, :m_partition, :m_awaits_answer, :m_message_id, :m_instance_id, :m_kind,
    :m_message, :c_partition, :c_message_id);

-- write_used_turns: the same, and what they have used
SELECT hub.write_turns(
    :owner, :number, :batch_id, :refused, :partitions, :epochs,
    :replacing, :i_iid, :i_created_at, :i_updated_at, :i_wake_at, :i_completed_at,
    :i_scheduled_at, :i_generation, :i_partition, :i_depth, :i_deliveries, :i_status,
    :i_instance_id, :i_name, :i_version, :i_execution_id, :i_root_id, :i_parent_id, :i_cause,
    :i_held_for, :i_parent, :i_tags, :i_trace, :i_custom_status, :i_held, :i_failure, :i_output,
    :i_input, :u_iid, :u_updated_at, :u_wake_at, :u_completed_at, :u_status, :u_held_for,
    :u_custom_status, :u_held, :u_failure, :u_output, :h_iid, :h_generation, :h_turn, :h_events,
    :f_iid, :f_generation, :m_partition, :m_awaits_answer, :m_message_id, :m_instance_id, :m_kind,
    :m_message, :c_partition, :c_message_id),
    hub.add_usage(
        :used_owner, :used_number, :used_days, :used_apps, :used_kinds, :used_functions, :used_tags,
        :used_executions, :used_running, :used_processor, :used_waiting, :used_memory,
        :used_operations, :used_bytes);

-- add_usage: what turns have used that were written before, in the same transaction
SELECT hub.add_usage(
    :used_owner, :used_number, :used_days, :used_apps, :used_kinds, :used_functions, :used_tags,
    :used_executions, :used_running, :used_processor, :used_waiting, :used_memory,
    :used_operations, :used_bytes);

-- add_usage_up: of an owner's commits from one number to another; nobody else writes these rows. Those
-- of days before the last are done with, and not added up again
WITH gone AS (
    DELETE FROM hub.usage WHERE owner = :owner AND number BETWEEN :first AND :last RETURNING *
)
INSERT INTO hub.usage (
    owner, number, day, app, kind, function, tag, executions, running, processor, waiting, memory,
    operations, bytes)
SELECT :owner, CASE WHEN day = (SELECT max(day) FROM gone) THEN :last ELSE 0 END, day, app, kind,
    function, tag, sum(executions), sum(running), sum(processor), sum(waiting), sum(memory),
    sum(operations), sum(bytes)
FROM gone GROUP BY day, app, kind, function, tag RETURNING day;

-- usage: what was used between two days, both included, by what is to be told apart
SELECT CASE WHEN :by_day THEN day ELSE 0 END AS day, CASE WHEN :by_app THEN app ELSE '' END AS app,
    kind, CASE WHEN :by_function THEN function ELSE '' END AS function,
    CASE WHEN :by_tag THEN tag ELSE '' END AS tag, sum(executions)::bigint AS executions,
    sum(running)::bigint AS running, sum(processor)::bigint AS processor,
    sum(waiting)::bigint AS waiting, sum(memory)::bigint AS memory,
    sum(operations)::bigint AS operations, sum(bytes)::bigint AS bytes
FROM hub.usage WHERE day BETWEEN :first AND :last AND kind <> 'root'
GROUP BY 1, 2, 3, 4, 5 LIMIT :most;

-- root_usage: what these root instances have used with all that they call
SELECT 0 AS day, '' AS app, kind, function, '' AS tag, sum(executions)::bigint AS executions,
    sum(running)::bigint AS running, sum(processor)::bigint AS processor,
    sum(waiting)::bigint AS waiting, sum(memory)::bigint AS memory,
    sum(operations)::bigint AS operations, sum(bytes)::bigint AS bytes
FROM hub.usage WHERE kind = 'root' AND function = ANY (:roots::text[]) GROUP BY kind, function;

-- forget_root_usage: these root instances have ended
DELETE FROM hub.usage WHERE kind = 'root' AND function = ANY (:roots::text[]);

-- trim_root_usage: of root instances that have ended, or are gone
DELETE FROM hub.usage WHERE kind = 'root' AND NOT EXISTS (
    SELECT 1 FROM hub.instance
    WHERE instance_id = usage.function AND status NOT IN (1, 3, 4, 5));

-- trim_usage: forget what was used before a day
DELETE FROM hub.usage WHERE day < :before AND kind <> 'root';

-- add_up_the_gone: rows of owners that own nothing; whoever owns nothing commits no turn. Should one
-- be about to, its rows are taken as they are then, and what it adds later is there later.
WITH gone AS (
    DELETE FROM hub.usage WHERE owner <> '' AND owner <> :owner AND NOT EXISTS (
        SELECT 1 FROM hub.partition WHERE partition.owner = usage.owner)
    RETURNING *
)
INSERT INTO hub.usage (
    owner, number, day, app, kind, function, tag, executions, running, processor, waiting, memory,
    operations, bytes)
SELECT '', 0, day, app, kind, function, tag, sum(executions), sum(running), sum(processor),
    sum(waiting), sum(memory), sum(operations), sum(bytes)
FROM gone GROUP BY day, app, kind, function, tag ORDER BY day, app, kind, function, tag
ON CONFLICT (day, kind, app, function, tag) WHERE owner = '' DO UPDATE SET
    executions = usage.executions + excluded.executions,
    running = usage.running + excluded.running, processor = usage.processor + excluded.processor,
    waiting = usage.waiting + excluded.waiting, memory = usage.memory + excluded.memory,
    operations = usage.operations + excluded.operations, bytes = usage.bytes + excluded.bytes;

-- purge: instances with all that is theirs
SELECT hub.purge(:iids);

-- change_unread: events that wait for a reader over generations
SELECT hub.change_unread(:iids, :numbers, :events);

-- change_links: links that people open
SELECT hub.change_links(:iids, :digests, :are_open, :links);

-- change_topic_waits: what instances wait for of topics
SELECT hub.change_topic_waits(:iids, :tasks, :partitions, :topics, :keys, :afters);

-- publish_in_order: events for topics
SELECT hub.publish_in_order(:ids, :topics, :keys, :times, :causes, :types, :events);

-- add_queued: messages for queues
SELECT hub.add_queued(:ids, :queues, :visible, :times, :causes, :contents);

-- send_in_order: messages for other hubs
SELECT hub.send_in_order(:hubs, :ids, :instance_ids, :messages);

-- add_dead_letters: messages that nobody can take
SELECT hub.add_dead_letters(:message_ids, :instance_ids, :reasons, :times, :messages);

-- add_answers: what became of messages from outside
SELECT hub.add_answers(:message_ids, :codes, :texts);

-- prune_landed: commits that nobody doubts any more
DELETE FROM hub.landed WHERE owner = :owner AND number < :number;

-- ask: note that somebody doubts; a write, which waits for replicas as a commit does
INSERT INTO hub.owner (owner, description, asked_at) VALUES (:owner, '', clock_timestamp())
ON CONFLICT (owner) DO UPDATE SET asked_at = excluded.asked_at;

-- landed: iids that were refused in a batch that has landed; no row when it has not
SELECT coalesce(refused, '{}') FROM hub.landed
WHERE owner = :owner AND number = :number AND batch_id = :batch_id;

-- last_landed: the greatest number of an owner's commits
SELECT max(number) FROM hub.landed WHERE owner = :owner;

-- set_back: partitions in an earlier epoch than these leases, which only goes up
SELECT partition.partition FROM hub.partition
JOIN unnest(:partitions::int[], :owners::text[], :epochs::bigint[]) AS lease (partition, owner, epoch)
    ON partition.partition = lease.partition
WHERE partition.epoch < lease.epoch;

-- is_next: whether an owner's next commit may have this number
SELECT EXISTS (SELECT 1 FROM hub.landed WHERE owner = :owner AND number = :number - 1)
    AND NOT EXISTS (SELECT 1 FROM hub.landed WHERE owner = :owner AND number = :number);

-- taken_ids: which of these instance ids exist, with their iids
SELECT instance_id, iid FROM hub.instance WHERE instance_id = ANY (:ids::text[]);

-- messages_to: partitions and ids of the messages that wait for these instance ids
SELECT partition, message_id FROM hub.inbox WHERE instance_id = ANY (:ids::text[]);

-- standing_turns: which of these turns are there already
SELECT history.iid, history.generation, history.turn
FROM unnest(:iids::bigint[], :generations::bigint[], :turns::bigint[]) AS wanted (iid, generation, turn)
JOIN hub.history USING (iid, generation, turn);

-- standing_iids: which of these iids there are, with their ids
SELECT iid, instance_id FROM hub.instance WHERE iid = ANY (:iids::bigint[]);

-- start_instance: one from outside, unless its id exists; its iid
INSERT INTO hub.instance (
    iid, created_at, updated_at, wake_at, completed_at, scheduled_at, generation, partition, depth,
    deliveries, status, instance_id, name, version, execution_id, root_id, parent_id, cause,
    held_for, parent, tags, trace, custom_status, held, failure, output, input, arrived)
VALUES (
    -nextval('hub.arrival'), :created_at, :updated_at, :wake_at, :completed_at, :scheduled_at,
    :generation, :partition, :depth, :deliveries, :status, :instance_id, :name, :version,
    :execution_id, :root_id, :parent_id, :cause, :held_for, :parent, :tags, :trace,
    :custom_status, :held, :failure, :output, :input, pg_current_xact_id()::text::bigint)
ON CONFLICT (instance_id) DO NOTHING RETURNING iid;

-- append: messages
INSERT INTO hub.inbox (partition, awaits_answer, message_id, instance_id, kind, message)
SELECT * FROM unnest(:m_partition::int[], :m_awaits_answer::boolean[], :m_message_id::text[],
    :m_instance_id::text[], :m_kind::text[], :m_message::bytea[])
ON CONFLICT DO NOTHING;

-- set_deliveries: how often instances were tried, after hosts had died
UPDATE hub.instance SET deliveries = changed.deliveries
FROM unnest(:iids::bigint[], :deliveries::int[]) AS changed (iid, deliveries)
WHERE instance.iid = changed.iid;

-- write_notes: keep notes
INSERT INTO hub.note (key, text) SELECT * FROM unnest(:keys::bytea[], :texts::bytea[])
ON CONFLICT (key) DO UPDATE SET text = excluded.text;

-- notes: those of these keys that there are
SELECT key, text FROM hub.note WHERE key = ANY (:keys::bytea[]);

-- deaths: owners of a partition in a row that died young
SELECT deaths FROM hub.partition WHERE partition = :partition;

-- misfits: held instances that are no harm to others, of one reason or all, oldest first
SELECT iid FROM hub.instance
WHERE held_for IS NOT NULL AND partition = ANY (:partitions::int[])
    AND NOT held_for = ANY (:harmful::text[])
    AND (:reason::text IS NULL OR held_for = :reason)
ORDER BY created_at, iid;

-- held_counts: how many instances are held, by reason
SELECT held_for, count(*) FROM hub.instance WHERE held_for IS NOT NULL GROUP BY held_for;

-- open_counts: how many instances of each status have not ended and are not held, each up to a bound
SELECT status, (
    SELECT count(*) FROM (
        SELECT 1 FROM hub.instance
        WHERE instance.status = wanted.status AND completed_at IS NULL AND held_for IS NULL
        LIMIT :most) AS counted) AS count
FROM unnest(:statuses::smallint[]) AS wanted (status);

-- answers: what became of messages from outside
SELECT message_id, code, text FROM hub.answer WHERE message_id = ANY (:ids::text[]);

-- link: a link by the digest of its token, with how its instance stands
SELECT instance_id, execution_id, status, link FROM hub.link
JOIN hub.instance ON instance.iid = link.iid WHERE digest = :digest;

-- is_waiting: whether a message waits in the inbox
SELECT EXISTS (SELECT 1 FROM hub.inbox WHERE message_id = :message_id);

-- waiting_start: the oldest start of an id that waits in the inbox
SELECT message_id, partition, instance_id, message, is_handed_over FROM hub.inbox
WHERE instance_id = :instance_id AND kind = 'Start' ORDER BY number LIMIT 1;

-- is_asked: whether a request of certain kinds to an instance waits to be taken in
SELECT EXISTS (
    SELECT 1 FROM hub.inbox WHERE instance_id = :instance_id AND kind = ANY (:kinds::text[]));

-- open_by_root: unfinished instances below each root
SELECT root_id, count(*) FROM hub.instance
WHERE partition = :partition AND depth > 0 AND status NOT IN (1, 3, 4, 5)
GROUP BY root_id;

-- open_below: unfinished instances of some partitions below each of some roots
SELECT root_id, count(*) AS open FROM hub.instance
WHERE partition = ANY (:partitions::int[]) AND root_id = ANY (:roots::text[])
    AND depth > 0 AND status NOT IN (1, 3, 4, 5)
GROUP BY root_id;

-- cursor: the oldest transaction that is open: what becomes visible from now on is of none before it,
-- as long as the server lives
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS cursor,
    extract(epoch FROM pg_postmaster_start_time())::text AS server;

-- due: instances whose time comes, after a time or from the first on
SELECT wake_at, iid, partition FROM hub.instance
WHERE partition = ANY (:partitions::int[]) AND wake_at IS NOT NULL
    AND wake_at > coalesce(:after::bigint, -1) AND wake_at <= :until
ORDER BY wake_at, iid;

-- next_wake: the first time after one at which an instance is due; of each partition the index knows it
SELECT min(soonest.wake_at) FROM unnest(:partitions::int[]) AS wanted (partition)
CROSS JOIN LATERAL (
    SELECT wake_at FROM hub.instance
    WHERE instance.partition = wanted.partition AND wake_at > :after AND wake_at IS NOT NULL
    ORDER BY wake_at LIMIT 1) AS soonest;

-- inbox_page: the next messages of a partition, as long as they fit, and one more
SELECT number, message_id, partition, instance_id, message, is_handed_over, size FROM (
    SELECT *, sum(size) OVER (
        ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS before
    FROM (
        SELECT *, octet_length(message) AS size FROM hub.inbox
        WHERE number > :after AND partition = :partition ORDER BY number LIMIT :rows) AS page
    ) AS measured
WHERE coalesce(before, 0) <= :most_bytes ORDER BY number;

-- arrived: messages, and instances from outside that nobody has run, which the cursors of partitions
-- have not seen, as long as they fit, and one more; in a row without a number, the snapshot alone.
-- Cursors of another server, or of this one before it was started, have seen nothing
WITH server AS MATERIALIZED (
    SELECT extract(epoch FROM pg_postmaster_start_time())::text AS began),
wanted AS MATERIALIZED (
    SELECT partition, CASE WHEN server <> began THEN 0 ELSE cursor END AS cursor,
        CASE WHEN server <> began THEN NULL ELSE seen END::pg_snapshot AS seen
    FROM server, unnest(:partitions::int[], :cursors::bigint[], :seen::text[], :servers::text[])
        AS wanted (partition, cursor, seen, server)),
come AS (
    SELECT number, message_id, inbox.partition, instance_id, message, is_handed_over,
        octet_length(message) AS size
    FROM wanted
    JOIN hub.inbox ON inbox.partition = wanted.partition AND inbox.arrived >= wanted.cursor
    WHERE number > :after AND (
        seen IS NULL OR NOT pg_visible_in_snapshot(inbox.arrived::text::xid8, seen))
    UNION ALL
    SELECT -iid, NULL, instance.partition, instance_id, NULL, false,
        500 + coalesce(octet_length(input), 0)
    FROM wanted
    JOIN hub.instance ON instance.partition = wanted.partition
        AND instance.arrived >= wanted.cursor AND status = 6
    WHERE -iid > :after AND (
        seen IS NULL OR NOT pg_visible_in_snapshot(instance.arrived::text::xid8, seen))
    ORDER BY number LIMIT :rows),
measured AS (
    SELECT *, sum(size) OVER (
        ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS before
    FROM come)
SELECT pg_current_snapshot()::text AS snapshot, began AS server,
    number, message_id, partition, instance_id, message, is_handed_over, size
FROM server LEFT JOIN measured ON coalesce(before, 0) <= :most_bytes
ORDER BY number;

-- waiting_messages: what waits for some instances
SELECT message_id, inbox.partition, inbox.instance_id, message, is_handed_over FROM hub.inbox
WHERE instance_id = ANY (:ids::text[]) ORDER BY number;

-- records: instances by iid
SELECT iid, instance_id, partition, name, execution_id, created_at, root_id, version, generation,
    status, wake_at, updated_at, completed_at, scheduled_at, parent, depth, input, output, failure,
    custom_status, tags, trace, held, deliveries
FROM hub.instance WHERE iid = ANY (:iids::bigint[]);

-- summaries: the same without input and output
SELECT iid, instance_id, partition, name, execution_id, created_at, root_id, version, generation,
    status, wake_at, updated_at, completed_at, scheduled_at, parent, depth, NULL AS input,
    NULL AS output, failure, custom_status, tags, trace, held, deliveries
FROM hub.instance WHERE iid = ANY (:iids::bigint[]);

-- found: instances by their ids
SELECT iid, instance_id, partition, name, execution_id, created_at, root_id, version, generation,
    status, wake_at, updated_at, completed_at, scheduled_at, parent, depth, input, output, failure,
    custom_status, tags, trace, held, deliveries
FROM hub.instance WHERE instance_id = ANY (:ids::text[]);

-- record_sizes: how long instances are by iid, with input and output or without
SELECT iid, 500 + coalesce(octet_length(custom_status), 0)
    + coalesce(octet_length(failure), 0) + coalesce(octet_length(tags), 0)
    + coalesce(octet_length(version), 0) + octet_length(name)
    + CASE WHEN :payloads THEN coalesce(octet_length(input), 0) + coalesce(octet_length(output), 0)
        ELSE 0 END AS size
FROM hub.instance WHERE iid = ANY (:iids::bigint[]);

-- iid_of: that of an instance id
SELECT iid FROM hub.instance WHERE instance_id = :instance_id;

-- turns: the history of the current generation of instances
SELECT history.iid, events FROM hub.instance
JOIN hub.history ON history.iid = instance.iid AND history.generation = instance.generation
WHERE instance.iid = ANY (:iids::bigint[]) ORDER BY history.iid, turn;

-- last_turns: the last row before the current generation of instances
SELECT instance.iid, last.events FROM hub.instance
CROSS JOIN LATERAL (
    SELECT events FROM hub.history
    WHERE history.iid = instance.iid AND history.generation < instance.generation
    ORDER BY generation DESC, turn DESC LIMIT 1) AS last
WHERE instance.iid = ANY (:iids::bigint[]);

-- last_generation: of an instance, the newest generation that has a history
SELECT max(generation) FROM hub.history WHERE iid = :iid;

-- turns_after: the turns of one generation after a turn, as long as they fit, and one more
SELECT turn, events, size FROM (
    SELECT turn, events, octet_length(events) AS size, sum(octet_length(events)) OVER (
        ORDER BY turn ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS before
    FROM hub.history WHERE iid = :iid AND generation = :generation AND turn > :after) AS measured
WHERE coalesce(before, 0) <= :most_bytes ORDER BY turn;

-- turns_of: the turns of one generation
SELECT events FROM hub.history WHERE iid = :iid AND generation = :generation ORDER BY turn;

-- history_bytes: how long the history of an instance is
SELECT coalesce(sum(octet_length(events)), 0)::bigint FROM hub.history WHERE iid = :iid;

-- turn_counts: how many turns the current generation of instances has
SELECT instance.iid, (
    SELECT count(*) FROM hub.history
    WHERE history.iid = instance.iid AND history.generation = instance.generation) AS turns
FROM hub.instance WHERE instance_id = ANY (:ids::text[]);

-- unread: events that earlier generations of instances have left unread
SELECT iid, number, event FROM hub.unread WHERE iid = ANY (:iids::bigint[]) ORDER BY iid, number;

-- marks: how far instances are, a page of them by iid: what changes when they do
SELECT iid, instance_id,
    execution_id || '.' || generation || '.' || status || '.' || updated_at || '.' || CASE
        WHEN status IN (1, 3, 4, 5) THEN '' ELSE (
            SELECT coalesce(max(turn), -1) FROM hub.history
            WHERE history.iid = instance.iid AND history.generation = instance.generation)::text
    END AS mark
FROM hub.instance WHERE iid > :after ORDER BY iid LIMIT :rows;

-- dead_letters: the newest dead letters below a number, as long as they fit, and one more
SELECT number, message_id, instance_id, reason, created_at, message, acknowledged_at, size FROM (
    SELECT *, sum(size) OVER (
        ORDER BY number DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS before
    FROM (
        SELECT *, octet_length(message) + octet_length(reason) AS size FROM hub.dead_letter
        WHERE number < :before ORDER BY number DESC LIMIT :rows) AS page) AS measured
WHERE coalesce(measured.before, 0) <= :most_bytes ORDER BY number DESC;
