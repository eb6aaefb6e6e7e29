-- A session plans a statement of a function when it first runs it, and keeps the plan until somebody
-- has analysed the tables. A new hub's are empty then, and the plan reads them from end to end: the
-- more instances there are, the more each commit reads, for a minute or, without autovacuum, for ever.
-- So what finds rows by their keys does so by index from the first commit on. Whoever replaces one of
-- these functions says so again.
ALTER FUNCTION hub.write_turns
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hub.make_room
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hub.purge
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hub.change_unread
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hub.change_links
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hub.change_topic_waits
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hub.add_answers
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
