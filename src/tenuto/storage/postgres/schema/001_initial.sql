-- The tables of a task hub: one PostgreSQL schema for each, called hub here. Columns of fixed length
-- come first. Times are microseconds since 1970 UTC. Statuses are the numbers of RuntimeStatus; 1, 3,
-- 4 and 5 are the finished ones. What holds people's text is text or bytea, never jsonb, which refuses
-- a NUL or half of a surrogate pair that a valid JSON text may hold: what is searched for stands in a
-- column of its own. Ids compare by their bytes, in each database alike.

CREATE TABLE hub.hub (
    id          int PRIMARY KEY CHECK (id = 1),
    schema      int NOT NULL,
    partitions  int NOT NULL,
    last_iid    bigint NOT NULL DEFAULT 0, -- up to this one they are given out
    trimmed_to  bigint NOT NULL DEFAULT 0, -- the newest position whose event was deleted
    secret      text NOT NULL,
    incarnation text NOT NULL
);

-- The fence: owner and epoch of the partitions that a commit touches must match (ENGINE rule 39). A
-- commit locks these rows and does not write them: a row that each commit wrote would grow as long as
-- anybody reads an old snapshot.
CREATE TABLE hub.partition (
    partition   int PRIMARY KEY,
    epoch       bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    served      boolean NOT NULL DEFAULT false, -- whether its owner has served for a while
    deaths      int NOT NULL DEFAULT 0,         -- owners in a row that died before they had
    owner       text COLLATE "C"
) WITH (fillfactor = 50);

-- The owners that live or may still be asked about, and what people know them by.
CREATE TABLE hub.owner (
    owner       text COLLATE "C" PRIMARY KEY,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_at    timestamptz,
    description text NOT NULL
);

-- The commits of each owner: so a batch lands once, and whoever doubts can ask (ENGINE rule 15).
-- ``refused`` are iids whose instance ids were taken. Rows are added and, long after, deleted.
CREATE TABLE hub.landed (
    number   bigint NOT NULL,
    owner    text COLLATE "C" NOT NULL,
    batch_id text NOT NULL,
    refused  bigint[],
    PRIMARY KEY (owner, number)
);

-- Owners have positive iids, out of what was reserved for them; an instance from outside has
-- iid = -(its arrival number).
CREATE SEQUENCE hub.arrival;

CREATE TABLE hub.instance (
    iid           bigint PRIMARY KEY,
    created_at    bigint NOT NULL,
    updated_at    bigint NOT NULL,
    wake_at       bigint,
    completed_at  bigint,
    scheduled_at  bigint,
    arrived       bigint, -- the transaction that made it, of one from outside
    generation    bigint NOT NULL,
    partition     int NOT NULL,
    depth         int NOT NULL,
    deliveries    int NOT NULL,
    status        smallint NOT NULL,
    instance_id   text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    version       text,
    execution_id  text NOT NULL,
    root_id       text COLLATE "C" NOT NULL,
    parent_id     text COLLATE "C",
    cause         text COLLATE "C",
    held_for      text,
    parent        text,
    tags          text,
    trace         text,
    custom_status text,
    held          text,
    failure       text,
    output        text,
    input         text
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX instance_named ON hub.instance (instance_id);
CREATE INDEX instance_wake ON hub.instance (partition, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX instance_arrived ON hub.instance (partition, arrived)
    WHERE arrived IS NOT NULL AND status = 6;
CREATE INDEX instance_open_child ON hub.instance (partition, root_id)
    WHERE depth > 0 AND status NOT IN (1, 3, 4, 5);
CREATE INDEX instance_held ON hub.instance (partition) WHERE held_for IS NOT NULL;
CREATE INDEX instance_created ON hub.instance (created_at, iid);
CREATE INDEX instance_completed ON hub.instance (completed_at, iid) WHERE completed_at IS NOT NULL;
CREATE INDEX instance_parent ON hub.instance (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX instance_by_cause ON hub.instance (cause) WHERE cause IS NOT NULL;

-- One row per turn.
CREATE TABLE hub.history (
    iid        bigint NOT NULL,
    generation bigint NOT NULL,
    turn       bigint NOT NULL,
    events     bytea NOT NULL
);
ALTER TABLE hub.history ALTER events SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX history_turn ON hub.history (iid, generation, turn);

-- Events that nobody has read when an instance continues as new.
CREATE TABLE hub.unread (
    iid    bigint NOT NULL,
    number bigint NOT NULL,
    event  bytea NOT NULL,
    PRIMARY KEY (iid, number)
);

-- ``arrived`` is the transaction that brought it. A cursor is the oldest transaction that was open
-- when the inbox was read: whatever became visible later has that one's number or a greater one.
CREATE TABLE hub.inbox (
    number        bigint NOT NULL DEFAULT nextval('hub.arrival'),
    arrived       bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    partition     int NOT NULL,
    awaits_answer boolean NOT NULL,
    message_id    text COLLATE "C" NOT NULL,
    instance_id   text COLLATE "C" NOT NULL,
    kind          text NOT NULL,
    message       bytea NOT NULL,
    PRIMARY KEY (partition, message_id)
);
ALTER TABLE hub.inbox ALTER message SET STORAGE EXTERNAL;

CREATE INDEX inbox_arrived ON hub.inbox (partition, arrived);
CREATE INDEX inbox_in_order ON hub.inbox (partition, number);
CREATE INDEX inbox_instance ON hub.inbox (instance_id);
CREATE INDEX inbox_message ON hub.inbox (message_id);

CREATE TABLE hub.dead_letter (
    number          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at      bigint NOT NULL,
    acknowledged_at bigint,
    message_id      text COLLATE "C" NOT NULL,
    instance_id     text COLLATE "C" NOT NULL,
    reason          text NOT NULL,
    message         bytea NOT NULL
);
CREATE INDEX dead_letter_message ON hub.dead_letter (message_id);

-- What became of messages whose senders, in other processes, wait for an answer. The newest 10,000
-- are kept. ``text`` is a JSON string.
CREATE TABLE hub.answer (
    number     bigint GENERATED ALWAYS AS IDENTITY,
    message_id text COLLATE "C" PRIMARY KEY,
    code       text,
    text       text NOT NULL
);
CREATE INDEX answer_number ON hub.answer (number);

-- Links that people open, by the digest of the token.
CREATE TABLE hub.link (
    number  bigint GENERATED ALWAYS AS IDENTITY,
    iid     bigint NOT NULL,
    is_open boolean NOT NULL,
    digest  text COLLATE "C" PRIMARY KEY,
    link    bytea NOT NULL
);
CREATE INDEX link_instance ON hub.link (iid, is_open, number);

-- What the owners of partitions keep beside instances. Few and short. Both are UTF-8.
CREATE TABLE hub.note (
    key  bytea PRIMARY KEY,
    text bytea NOT NULL
);

-- Topics and queues. A position counts over all topics, in the order of commits: who publishes holds
-- a lock until its commit is over (publish_in_order), so that a place never passes an event.
CREATE TABLE hub.event (
    position     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    published_at bigint NOT NULL,
    event_id     text COLLATE "C" NOT NULL,
    topic        text COLLATE "C" NOT NULL,
    event_key    text COLLATE "C",
    cause        text COLLATE "C",
    type         text,
    event        bytea NOT NULL
);
ALTER TABLE hub.event ALTER event SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX event_of_topic ON hub.event (topic, event_id);
CREATE INDEX event_in_order ON hub.event (topic, position);
CREATE INDEX event_by_key ON hub.event (topic, event_key, position) WHERE event_key IS NOT NULL;
CREATE INDEX event_by_cause ON hub.event (cause) WHERE cause IS NOT NULL;

-- How far each subscription is: everything up to ``position`` is done with, and what ``done`` lists.
CREATE TABLE hub.subscription (
    position   bigint NOT NULL,
    updated_at bigint NOT NULL,
    name       text COLLATE "C" PRIMARY KEY,
    topic      text COLLATE "C" NOT NULL,
    done       bigint[] NOT NULL
) WITH (fillfactor = 50);

-- ``attempts`` counts those that have begun, so that a message that ends its host is seen, and
-- ``deaths`` of hosts while it was in work. ``queued_at`` of a message that was given back is when that
-- was; ``came_at`` is when it was put in first, where that is another moment.
CREATE TABLE hub.queued (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    visible_at bigint NOT NULL,
    queued_at  bigint NOT NULL,
    came_at    bigint,
    attempts   bigint NOT NULL DEFAULT 0,
    deaths     bigint NOT NULL DEFAULT 0,
    message_id text COLLATE "C" NOT NULL,
    queue      text COLLATE "C" NOT NULL,
    cause      text COLLATE "C",
    data       text NOT NULL
);
CREATE UNIQUE INDEX queued_message ON hub.queued (queue, message_id);
CREATE INDEX queued_in_order ON hub.queued (queue, visible_at, number);
CREATE INDEX queued_by_cause ON hub.queued (cause) WHERE cause IS NOT NULL;

-- Deliveries that were put aside: their function has failed in each attempt. ``error`` is a JSON
-- string. ``came_at`` is when what was put aside was queued or published.
CREATE TABLE hub.failed_delivery (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attempts   bigint NOT NULL,
    failed_at  bigint NOT NULL,
    came_at    bigint,
    source     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    function   text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    error      text NOT NULL,
    cause      text COLLATE "C",
    event_key  text COLLATE "C",
    content    text NOT NULL
);
CREATE INDEX failed_delivery_of ON hub.failed_delivery (source, name, function, number);
CREATE INDEX failed_delivery_message ON hub.failed_delivery (source, name, message_id);
CREATE INDEX failed_delivery_by_cause ON hub.failed_delivery (cause) WHERE cause IS NOT NULL;

-- Events that were put aside and are given to their subscription again.
CREATE TABLE hub.redelivery (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    published_at bigint NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    event_id     text COLLATE "C" NOT NULL,
    topic        text COLLATE "C" NOT NULL,
    event_key    text COLLATE "C",
    cause        text COLLATE "C",
    event        text NOT NULL
);
CREATE INDEX redelivery_of ON hub.redelivery (subscription, number);

-- What instances wait for: an event of a topic with this key, after this position.
CREATE TABLE hub.topic_wait (
    iid       bigint NOT NULL,
    task_id   bigint NOT NULL,
    after     bigint NOT NULL,
    partition int NOT NULL,
    topic     text COLLATE "C" NOT NULL,
    event_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (iid, task_id)
);
CREATE INDEX topic_wait_for ON hub.topic_wait (topic, event_key);
CREATE INDEX topic_wait_of ON hub.topic_wait (partition);

-- Links to other hubs: how far each direction is, and what waits for the other hub.
CREATE TABLE hub.linked_hub (
    received      bigint NOT NULL DEFAULT 0,
    delivered     bigint NOT NULL DEFAULT 0,
    heard_at      bigint,
    most_messages bigint NOT NULL DEFAULT 100000,
    most_bytes    bigint NOT NULL DEFAULT 268435456,
    name          text COLLATE "C" PRIMARY KEY,
    url           text,
    called        text NOT NULL,
    key           text NOT NULL,
    life          text NOT NULL DEFAULT '',
    received_mark  text NOT NULL DEFAULT '',
    delivered_mark text NOT NULL DEFAULT '',
    past_lives    text[] NOT NULL DEFAULT '{}',
    problem       text
);

-- A number is never given out again, and goes by the order of commits, as positions do.
CREATE TABLE hub.outgoing (
    sequence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub         text COLLATE "C" NOT NULL,
    message_id  text COLLATE "C" NOT NULL UNIQUE,
    instance_id text COLLATE "C" NOT NULL,
    message     bytea NOT NULL
);
CREATE INDEX outgoing_hub ON hub.outgoing (hub, sequence);

-- Pieces of one message that is too long for the line.
CREATE TABLE hub.incoming_piece (
    sequence bigint NOT NULL,
    at       bigint NOT NULL,
    hub      text COLLATE "C" NOT NULL,
    text     text NOT NULL,
    PRIMARY KEY (hub, sequence, at)
);
