-- Statements of upkeep, in the form of queries.sql.

-- hub_size: bytes of all tables and indexes of a hub
SELECT coalesce(sum(pg_total_relation_size(class.oid)), 0)::bigint
FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = :schema AND class.relkind = 'r';

-- status_counts: how many instances have which status
SELECT status, count(*) FROM hub.instance GROUP BY status;

-- inbox_count: how many messages wait
SELECT count(*) FROM hub.inbox;

-- inbox_waiting: the oldest waiting messages: number and instance
SELECT number, instance_id FROM hub.inbox ORDER BY number LIMIT :rows;

-- oldest_pending: when the oldest instance that has not begun was started
SELECT min(created_at) FROM hub.instance WHERE status = 6 AND coalesce(scheduled_at, 0) <= :now;

-- dead_letter_count: how many dead letters there are, the newest's time, how many are not acknowledged
SELECT count(*) AS count, max(created_at) AS newest,
    count(*) FILTER (WHERE acknowledged_at IS NULL) AS unseen
FROM hub.dead_letter;

-- lost_histories: numbers of histories without an instance
SELECT DISTINCT iid FROM hub.history
WHERE NOT EXISTS (SELECT 1 FROM hub.instance WHERE instance.iid = history.iid)
ORDER BY iid LIMIT :rows;

-- without_history: instances that have begun, of which no turn is left
SELECT instance_id FROM hub.instance
WHERE status <> 6 AND NOT (status = 7 AND scheduled_at IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM hub.history WHERE history.iid = instance.iid)
ORDER BY iid LIMIT :rows;

-- lost_messages: messages that answer the work of an instance that is not there
SELECT DISTINCT instance_id FROM hub.inbox
WHERE kind NOT IN ('Start', 'Publish')
    AND partition >= 0 AND partition < (SELECT partitions FROM hub.hub)
    AND NOT EXISTS (SELECT 1 FROM hub.instance WHERE instance.instance_id = inbox.instance_id)
ORDER BY instance_id LIMIT :rows;

-- unserved_partitions: those in which messages wait, and that the hub has not
SELECT DISTINCT partition FROM hub.inbox
WHERE partition < 0 OR partition >= (SELECT partitions FROM hub.hub) ORDER BY partition LIMIT :rows;

-- unknown_types: what waiting messages say that they are, but for these types
SELECT DISTINCT kind FROM hub.inbox WHERE NOT kind = ANY (:known::text[]) ORDER BY kind LIMIT :rows;

-- dead_letter_numbers: those of the newest dead letters with these message ids, the oldest first; or of
-- all of them
SELECT max(number) AS number, message_id FROM hub.dead_letter
WHERE :ids::text[] IS NULL OR message_id = ANY (:ids)
GROUP BY message_id, CASE WHEN :ids::text[] IS NULL THEN number END ORDER BY number;

-- dead_letter: one, which nobody else takes meanwhile
SELECT number, message_id, instance_id, reason, created_at, message, acknowledged_at
FROM hub.dead_letter WHERE number = :number FOR UPDATE;

-- drop_dead_letter: delete one dead letter
DELETE FROM hub.dead_letter WHERE number = :number;

-- acknowledge_dead_letters: note that somebody has seen to them, by message id, or to all of them
UPDATE hub.dead_letter SET acknowledged_at = :now
WHERE acknowledged_at IS NULL AND (:ids::text[] IS NULL OR message_id = ANY (:ids));

-- drop_dead_letters: delete dead letters by message id, or all of them
DELETE FROM hub.dead_letter WHERE :ids::text[] IS NULL OR message_id = ANY (:ids);

-- link_names: how the linked hubs are called
SELECT name FROM hub.linked_hub ORDER BY name;

-- condition: of the server and of this user's rights; the standbys that this user may see
SELECT
    pg_is_in_recovery() AS is_standby,
    current_setting('default_transaction_read_only')::boolean AS is_read_only,
    current_setting('fsync')::boolean AS syncs,
    current_setting('server_encoding') AS keeps_text,
    current_setting('max_connections')::int AS most_connections,
    (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL) AS connections,
    current_setting('synchronous_standby_names') <> '' AS wants_standbys,
    (SELECT count(*)::int FROM pg_stat_get_wal_senders() WHERE sync_priority > 0)
        AS synchronous,
    (SELECT count(*)::int FROM pg_stat_get_wal_senders() WHERE sync_priority = 0)
        AS asynchronous,
    EXISTS (SELECT 1 FROM pg_stat_get_wal_senders() WHERE sync_priority IS NULL) AS hides_standbys,
    ARRAY(
        SELECT tablename FROM pg_tables
        WHERE schemaname = :schema::text AND tablename <> 'hub'
            AND NOT has_table_privilege(
                quote_ident(schemaname) || '.' || quote_ident(tablename), 'INSERT')
        ORDER BY tablename
    ) AS lacks,
    pg_notification_queue_usage() AS queue_usage;
