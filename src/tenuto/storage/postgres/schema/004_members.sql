-- The hosts of the hub: each has a row as long as it lives. An owner is a name under which a member
-- commits; one that has lost all that it owned takes another.
CREATE TABLE hub.member (
    joined_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    lives_until   timestamptz NOT NULL,
    newness       int NOT NULL,                  -- of its app version
    is_leaving    boolean NOT NULL DEFAULT false,
    member        text COLLATE "C" PRIMARY KEY,
    description   text NOT NULL,
    address       text,
    app_version   text COLLATE "C" NOT NULL,
    orchestrators text[] NOT NULL,
    load          text NOT NULL                  -- figures for people, in JSON
);

-- The app versions that have ever joined. The newest is the one whose first host joined last: texts
-- of versions have no order.
CREATE TABLE hub.app_version (
    newness     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_seen  timestamptz NOT NULL DEFAULT clock_timestamp(),
    app_version text COLLATE "C" NOT NULL UNIQUE
);

ALTER TABLE hub.owner ADD COLUMN member text COLLATE "C";

-- A lease is its owner's, for all partitions that it has. So a sign of life writes one row, which no
-- commit looks at: the rows that commits lock are written by those who take and give partitions, and
-- by nobody else. Else they would grow as long as anybody reads an old snapshot, and a sign of life
-- would wait for the commits of its own host.
ALTER TABLE hub.owner ADD COLUMN lease_until timestamptz NOT NULL DEFAULT '-infinity';

UPDATE hub.owner SET lease_until = coalesce(
    (SELECT max(partition.lease_until) FROM hub.partition WHERE partition.owner = owner.owner),
    '-infinity');

ALTER TABLE hub.partition DROP COLUMN lease_until;

-- Since when nobody has it, for people; of one that was given back.
ALTER TABLE hub.partition ADD COLUMN freed_at timestamptz;
