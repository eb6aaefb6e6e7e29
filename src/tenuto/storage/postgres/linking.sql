-- Statements for links to other hubs, in the form of queries.sql.

-- put_linked_hub: make a link, or give it another address or key
INSERT INTO hub.linked_hub (name, url, called, key) VALUES (:name, :url, :called, :key)
ON CONFLICT (name) DO UPDATE SET url = excluded.url, called = excluded.called, key = excluded.key,
    problem = NULL;

-- bound_links: so much may wait for each hub
UPDATE hub.linked_hub SET most_messages = :messages, most_bytes = :bytes;

-- drop_linked_hub: a link is no more
DELETE FROM hub.linked_hub WHERE name = :name;

-- linked_hubs: all links, with what waits
SELECT name, url, called, key, life, received, delivered, delivered_mark, heard_at, problem, most_messages,
    most_bytes, (SELECT coalesce(sum(octet_length(text)), 0)::bigint FROM hub.incoming_piece
        WHERE incoming_piece.hub = name) AS held_bytes, (SELECT count(*) FROM hub.outgoing WHERE outgoing.hub = name) AS waiting,
    (SELECT coalesce(sum(octet_length(message)), 0)::bigint FROM hub.outgoing
        WHERE outgoing.hub = name) AS waiting_bytes
FROM hub.linked_hub ORDER BY name;

-- outgoing: the next messages for a hub, as long as they fit, one at least
SELECT sequence, message_id, instance_id, message FROM (
    SELECT *, sum(octet_length(message)) OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING)
        AS total, row_number() OVER (ORDER BY sequence) AS place
    FROM (
        SELECT * FROM hub.outgoing WHERE hub = :hub AND sequence > :after
        ORDER BY sequence LIMIT :rows) AS page) AS measured
WHERE total <= :most_bytes OR place = 1 ORDER BY sequence;

-- known_delivered: the last number that was given out, and the last message that a hub has
SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last, coalesce(delivered, 0) AS delivered,
    coalesce(delivered_mark, '') AS mark
FROM hub.outgoing_sequence_seq LEFT JOIN hub.linked_hub ON name = :hub;

-- final_outgoing: the last message up to a number that waits for a hub
SELECT sequence, message_id, instance_id, message FROM hub.outgoing
WHERE hub = :hub AND sequence <= :last ORDER BY sequence DESC LIMIT 1;

-- drop_outgoing: the other hub has these, or refuses the last one of them; how many, how long
WITH gone AS (
    DELETE FROM hub.outgoing WHERE hub = :hub AND sequence >= :first AND sequence <= :last
    RETURNING octet_length(message) AS size)
SELECT count(*) AS count, coalesce(sum(size), 0)::bigint AS size FROM gone;

-- waiting_for: the next that waits for a hub, or for hubs that are not linked
SELECT sequence, hub, message_id, instance_id, message FROM hub.outgoing
WHERE sequence > :after AND CASE WHEN :hub::text IS NULL
    THEN hub NOT IN (SELECT name FROM hub.linked_hub) ELSE hub = :hub END
ORDER BY sequence LIMIT :rows;

-- drop_waiting: these wait no more
DELETE FROM hub.outgoing WHERE sequence = ANY (:sequences::bigint[]);

-- note_delivered: how far the other hub has come
UPDATE hub.linked_hub SET delivered = greatest(delivered, :sequence),
    delivered_mark = CASE WHEN :sequence < delivered THEN delivered_mark ELSE :mark END,
    heard_at = :now, problem = NULL
WHERE name = :hub;

-- note_heard: when a hub was heard of, and what is wrong
UPDATE hub.linked_hub SET heard_at = coalesce(:now, heard_at), problem = :problem WHERE name = :hub;

-- place: life, earlier lives and place of the other hub
SELECT life, past_lives, received, received_mark FROM hub.linked_hub WHERE name = :hub;

-- new_life: the other hub begins anew
UPDATE hub.linked_hub SET received = 0, received_mark = '', life = :life,
    past_lives = CASE WHEN life = '' THEN past_lives ELSE past_lives[greatest(1, cardinality(past_lives) - 98):] || life END
WHERE name = :hub;

-- received: the other hub's messages up to this number are here
UPDATE hub.linked_hub SET received = :sequence, received_mark = :mark, heard_at = :now, problem = NULL
WHERE name = :hub AND received < :sequence RETURNING received;

-- keep_piece: a part of a message
INSERT INTO hub.incoming_piece (hub, sequence, at, text) VALUES (:hub, :sequence, :at, :text)
ON CONFLICT DO NOTHING;

-- piece_held: of which message there are parts, and how many characters
SELECT sequence, sum(length(text))::bigint AS held FROM hub.incoming_piece WHERE hub = :hub
GROUP BY sequence ORDER BY sequence LIMIT 1;

-- pieces: the parts of a message
SELECT text FROM hub.incoming_piece WHERE hub = :hub AND sequence = :sequence ORDER BY at;

-- drop_pieces: parts of messages that are here whole, or without a number all of a hub
DELETE FROM hub.incoming_piece
WHERE hub = :hub AND (:sequence::bigint IS NULL OR sequence <= :sequence);

-- drop_other_pieces: only one message is here in part
DELETE FROM hub.incoming_piece WHERE hub = :hub AND sequence <> :sequence;
