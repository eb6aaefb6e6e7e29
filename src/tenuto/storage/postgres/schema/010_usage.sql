-- What functions have used up, by day (since 1970, UTC), app, function and value of the tag. Times are
-- microseconds, memory is mebibytes times microseconds. A commit adds rows and changes none: a row that
-- every commit updates rots as long as anybody reads an old snapshot. Each owner adds its own up now and
-- then, those of days that are over with number 0; rows of owners that are gone are added up under no
-- owner. Few read them, so that no index by day makes each commit dearer.
CREATE TABLE hub.usage (
    number     bigint NOT NULL,                  -- of the commit
    executions bigint NOT NULL,
    running    bigint NOT NULL,
    processor  bigint NOT NULL,
    waiting    bigint NOT NULL,
    memory     bigint NOT NULL,
    operations bigint NOT NULL,
    bytes      bigint NOT NULL,
    day        int NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    app        text COLLATE "C" NOT NULL,
    function   text COLLATE "C" NOT NULL,
    tag        text COLLATE "C" NOT NULL
);

CREATE INDEX usage_owner ON hub.usage (owner, number);
CREATE UNIQUE INDEX usage_of_the_gone ON hub.usage (day, kind, app, function, tag) WHERE owner = '';

CREATE FUNCTION hub.add_usage(
    of_owner text, of_number bigint, days int[], apps text[], kinds text[], functions text[],
    tags text[], executions bigint[], running bigint[], processor bigint[], waiting bigint[],
    memory bigint[], operations bigint[], bytes bigint[]
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO hub.usage (
        owner, number, day, app, kind, function, tag, executions, running, processor, waiting,
        memory, operations, bytes)
    SELECT of_owner, of_number, used.* FROM unnest(
        days, apps, kinds, functions, tags, executions, running, processor, waiting, memory,
        operations, bytes) AS used;
$$;
