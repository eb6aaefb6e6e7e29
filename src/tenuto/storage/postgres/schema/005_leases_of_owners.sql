-- A lease is its owner's, for all partitions that it has. So a sign of life writes one row, which no
-- commit looks at: the rows that commits lock are written by those who take and give partitions, and
-- by nobody else. Else they would grow as long as anybody reads an old snapshot, and a sign of life
-- would wait for the commits of its own host.
ALTER TABLE hub.owner ADD COLUMN lease_until timestamptz NOT NULL DEFAULT '-infinity';

UPDATE hub.owner SET lease_until = coalesce(
    (SELECT max(partition.lease_until) FROM hub.partition WHERE partition.owner = owner.owner),
    '-infinity');

ALTER TABLE hub.partition DROP COLUMN lease_until;
