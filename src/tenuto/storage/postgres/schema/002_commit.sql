-- What a commit does, so that it is one statement, one round trip and one transaction. Lists come as
-- arrays, one for each column and all of the same length; NULL when there is nothing.

-- Whose commit it is and which number it has: every one of the fences holds, and goes on holding until
-- the commit is over, because who takes a partition over waits for this lock. In the order of
-- partitions, so that nobody waits in a circle.
CREATE FUNCTION hub.claim(
    of_owner text, of_number bigint, of_batch text, of_refused bigint[],
    partitions int[], epochs bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held int;
BEGIN
    PERFORM 1 FROM hub.partition AS mine
        JOIN unnest(partitions, epochs) AS fence (partition, epoch)
            ON mine.partition = fence.partition AND mine.epoch = fence.epoch
        WHERE mine.owner = of_owner
        ORDER BY mine.partition FOR SHARE OF mine;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(partitions) THEN
        RAISE EXCEPTION 'fenced' USING ERRCODE = 'TN001';
    END IF;
    INSERT INTO hub.landed (owner, number, batch_id, refused)
        SELECT of_owner, of_number, of_batch, of_refused FROM hub.landed
        WHERE owner = of_owner AND number = of_number - 1
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced' USING ERRCODE = 'TN001';
    END IF;
END $$;

-- Makes room for rows that are written anew; when the id stood under another iid, what was that one's
-- goes too.
CREATE FUNCTION hub.make_room(ids text[], iids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    others bigint[];
BEGIN
    SELECT array_agg(instance.iid) INTO others
        FROM unnest(ids, iids) AS again (instance_id, iid)
        JOIN hub.instance ON instance.instance_id = again.instance_id
        WHERE instance.iid <> again.iid;
    IF others IS NOT NULL THEN
        DELETE FROM hub.history WHERE iid = ANY (others);
        DELETE FROM hub.unread WHERE iid = ANY (others);
        DELETE FROM hub.link WHERE iid = ANY (others);
        DELETE FROM hub.topic_wait WHERE iid = ANY (others);
    END IF;
    DELETE FROM hub.instance WHERE instance_id = ANY (ids);
END $$;

-- A message that goes with its instance is answered when somebody waits for that: its instance is not
-- there any more.
CREATE FUNCTION hub.purge(iids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ids text[];
BEGIN
    SELECT array_agg(instance_id) INTO ids FROM hub.instance WHERE iid = ANY (iids);
    INSERT INTO hub.answer (message_id, code, text)
        SELECT message_id, 'TN-1202', to_json(
            'instance ' || to_json(instance_id)::text || ' was purged meanwhile')::text
        FROM hub.inbox WHERE instance_id = ANY (ids) AND awaits_answer
        ON CONFLICT DO NOTHING;
    DELETE FROM hub.inbox WHERE instance_id = ANY (ids);
    DELETE FROM hub.history WHERE iid = ANY (iids);
    DELETE FROM hub.unread WHERE iid = ANY (iids);
    DELETE FROM hub.link WHERE iid = ANY (iids);
    DELETE FROM hub.topic_wait WHERE iid = ANY (iids);
    DELETE FROM hub.instance WHERE iid = ANY (iids);
END $$;

-- The rows that turns write, of one commit or of a part of it. Without ``of_owner`` the caller has
-- claimed before, in the same transaction. The last ``replacing`` of the instances are written anew.
-- TN002: ids of new instances are another's; nothing of it may stay.
CREATE FUNCTION hub.write_turns(
    of_owner text, of_number bigint, of_batch text, of_refused bigint[],
    partitions int[], epochs bigint[],
    replacing int, i_iid bigint[], i_created_at bigint[], i_updated_at bigint[],
    i_wake_at bigint[], i_completed_at bigint[], i_scheduled_at bigint[], i_generation bigint[],
    i_partition int[], i_depth int[], i_deliveries int[], i_status smallint[],
    i_instance_id text[], i_name text[], i_version text[], i_execution_id text[],
    i_root_id text[], i_parent_id text[], i_cause text[], i_held_for text[], i_parent text[],
    i_tags text[], i_trace text[], i_custom_status text[], i_held text[], i_failure text[],
    i_output text[], i_input text[],
    u_iid bigint[], u_updated_at bigint[], u_wake_at bigint[], u_completed_at bigint[],
    u_status smallint[], u_held_for text[], u_custom_status text[], u_held text[],
    u_failure text[], u_output text[],
    h_iid bigint[], h_generation bigint[], h_turn bigint[], h_events bytea[],
    f_iid bigint[], f_generation bigint[],
    m_partition int[], m_awaits_answer boolean[], m_message_id text[], m_instance_id text[],
    m_kind text[], m_message bytea[],
    c_partition int[], c_message_id text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    written int;
    first_again int;
BEGIN
    IF of_owner IS NOT NULL THEN
        PERFORM hub.claim(of_owner, of_number, of_batch, of_refused, partitions, epochs);
    END IF;
    IF i_iid IS NOT NULL THEN
        first_again := cardinality(i_iid) - replacing + 1;
        IF replacing > 0 THEN
            PERFORM hub.make_room(i_instance_id[first_again:], i_iid[first_again:]);
        END IF;
        INSERT INTO hub.instance (
            iid, created_at, updated_at, wake_at, completed_at, scheduled_at, generation,
            partition, depth, deliveries, status, instance_id, name, version, execution_id,
            root_id, parent_id, cause, held_for, parent, tags, trace, custom_status, held,
            failure, output, input)
        SELECT * FROM unnest(
            i_iid, i_created_at, i_updated_at, i_wake_at, i_completed_at, i_scheduled_at,
            i_generation, i_partition, i_depth, i_deliveries, i_status, i_instance_id, i_name,
            i_version, i_execution_id, i_root_id, i_parent_id, i_cause, i_held_for, i_parent,
            i_tags, i_trace, i_custom_status, i_held, i_failure, i_output, i_input)
        ON CONFLICT (instance_id) DO NOTHING;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(i_iid) THEN
            RAISE EXCEPTION 'taken' USING ERRCODE = 'TN002';
        END IF;
    END IF;
    IF u_iid IS NOT NULL THEN
        UPDATE hub.instance SET
            updated_at = changed.updated_at, wake_at = changed.wake_at,
            completed_at = changed.completed_at, status = changed.status,
            held_for = changed.held_for, custom_status = changed.custom_status,
            held = changed.held, failure = changed.failure, output = changed.output
        FROM unnest(
            u_iid, u_updated_at, u_wake_at, u_completed_at, u_status, u_held_for,
            u_custom_status, u_held, u_failure, u_output
        ) AS changed (
            iid, updated_at, wake_at, completed_at, status, held_for, custom_status, held, failure,
            output)
        WHERE instance.iid = changed.iid;
    END IF;
    IF h_iid IS NOT NULL THEN
        INSERT INTO hub.history (iid, generation, turn, events)
            SELECT * FROM unnest(h_iid, h_generation, h_turn, h_events);
    END IF;
    IF f_iid IS NOT NULL THEN
        DELETE FROM hub.history USING unnest(f_iid, f_generation) AS old (iid, generation)
            WHERE history.iid = old.iid AND history.generation < old.generation;
    END IF;
    IF m_message_id IS NOT NULL THEN
        INSERT INTO hub.inbox (
            partition, awaits_answer, message_id, instance_id, kind, message)
        SELECT * FROM unnest(
            m_partition, m_awaits_answer, m_message_id, m_instance_id, m_kind, m_message)
        ON CONFLICT DO NOTHING;
    END IF;
    IF c_message_id IS NOT NULL THEN
        DELETE FROM hub.inbox USING unnest(c_partition, c_message_id) AS used (partition, message_id)
            WHERE inbox.partition = used.partition AND inbox.message_id = used.message_id;
    END IF;
END $$;

-- The newest 10,000 answers are kept: each is read within milliseconds.
CREATE FUNCTION hub.add_answers(message_ids text[], codes text[], texts text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hub.answer WHERE message_id = ANY (message_ids);
    INSERT INTO hub.answer (message_id, code, text)
        SELECT * FROM unnest(message_ids, codes, texts) ON CONFLICT DO NOTHING;
    DELETE FROM hub.answer WHERE number <= (SELECT max(number) FROM hub.answer) - 10000;
END $$;

-- The newest 10,000 dead letters are kept, for 30 days.
CREATE FUNCTION hub.add_dead_letters(
    message_ids text[], instance_ids text[], reasons text[], times bigint[], messages bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hub.dead_letter (message_id, instance_id, reason, created_at, message)
        SELECT * FROM unnest(message_ids, instance_ids, reasons, times, messages);
    DELETE FROM hub.dead_letter
        WHERE number <= (SELECT max(number) FROM hub.dead_letter) - 10000;
    DELETE FROM hub.dead_letter WHERE created_at < (
        SELECT max(created_at) FROM hub.dead_letter) - 30::bigint * 86400 * 1000000;
END $$;

-- A row whose event is null was taken; with the number -1, all of them.
CREATE FUNCTION hub.change_unread(iids bigint[], numbers bigint[], events bytea[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hub.unread USING unnest(iids, numbers, events) AS taken (iid, number, event)
        WHERE taken.event IS NULL AND unread.iid = taken.iid
            AND (taken.number = -1 OR unread.number = taken.number);
    INSERT INTO hub.unread (iid, number, event)
        SELECT iid, number, event FROM unnest(iids, numbers, events) AS kept (iid, number, event)
        WHERE event IS NOT NULL
        ON CONFLICT (iid, number) DO UPDATE SET event = excluded.event;
END $$;

-- Of links that are closed the newest hundred of an instance are kept.
CREATE FUNCTION hub.change_links(
    iids bigint[], digests text[], are_open boolean[], links bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hub.link (iid, digest, is_open, link)
        SELECT DISTINCT ON (digest) iid, digest, is_open, link
        FROM unnest(iids, digests, are_open, links) WITH ORDINALITY
            AS one (iid, digest, is_open, link, place)
        ORDER BY digest, place DESC
        ON CONFLICT (digest) DO UPDATE SET is_open = excluded.is_open, link = excluded.link;
    DELETE FROM hub.link USING (
        SELECT number, row_number() OVER (PARTITION BY iid ORDER BY number DESC) AS place
        FROM hub.link WHERE iid = ANY (iids) AND NOT is_open) AS closed
        WHERE link.number = closed.number AND closed.place > 100;
END $$;

-- A row without a topic is a wait that is over; with task -1 it stands for all of an instance.
CREATE FUNCTION hub.change_topic_waits(
    iids bigint[], tasks bigint[], partitions int[], topics text[], keys text[], afters bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hub.topic_wait USING unnest(iids, tasks, topics) AS over (iid, task_id, topic)
        WHERE over.topic IS NULL AND topic_wait.iid = over.iid
            AND (over.task_id = -1 OR topic_wait.task_id = over.task_id);
    INSERT INTO hub.topic_wait (iid, task_id, partition, topic, event_key, after)
        SELECT * FROM unnest(iids, tasks, partitions, topics, keys, afters)
            AS begun (iid, task_id, partition, topic, event_key, after)
        WHERE topic IS NOT NULL
        ON CONFLICT (iid, task_id) DO UPDATE SET partition = excluded.partition,
            topic = excluded.topic, event_key = excluded.event_key, after = excluded.after;
END $$;

-- Positions go by the order of commits: who publishes waits until whoever published before has
-- committed. Hosts commit in groups, so this is a wait for one of their fsyncs. They stand in line at
-- a table that stays empty: to lock that needs the right to write it, and an advisory lock none, so
-- that any user of the database could stop all commits.
CREATE TABLE hub.line_to_publish ();

CREATE FUNCTION hub.publish_in_order(
    ids text[], topics text[], keys text[], times bigint[], causes text[], types text[],
    events bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE hub.line_to_publish IN EXCLUSIVE MODE;
    INSERT INTO hub.event (event_id, topic, event_key, published_at, cause, type, event)
        SELECT * FROM unnest(ids, topics, keys, times, causes, types, events)
        ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION hub.add_queued(
    ids text[], queues text[], visible bigint[], times bigint[], causes text[], contents text[]
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO hub.queued (message_id, queue, visible_at, queued_at, cause, data)
        SELECT * FROM unnest(ids, queues, visible, times, causes, contents)
        ON CONFLICT DO NOTHING;
$$;

-- What is sent to another hub; numbers go by the order of commits, too.
CREATE TABLE hub.line_to_send ();

CREATE FUNCTION hub.send_in_order(hubs text[], ids text[], instance_ids text[], messages bytea[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE hub.line_to_send IN EXCLUSIVE MODE;
    INSERT INTO hub.outgoing (hub, message_id, instance_id, message)
        SELECT * FROM unnest(hubs, ids, instance_ids, messages) ON CONFLICT DO NOTHING;
END $$;
