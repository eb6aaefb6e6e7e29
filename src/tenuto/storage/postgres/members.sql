-- The statements about the hosts of a hub, and about who owns which partition.

-- lock_members: one host joins at a time
LOCK TABLE hub.member IN SHARE ROW EXCLUSIVE MODE;

-- unlike_members: living hosts of the same app version that know other orchestrators
SELECT member, description, orchestrators, lives_until::text AS until FROM hub.member
WHERE app_version = :app_version AND member <> :member AND NOT is_leaving
    AND orchestrators <> :orchestrators AND lives_until > clock_timestamp()
ORDER BY joined_at;

-- know_version: how new an app version is
INSERT INTO hub.app_version (app_version) SELECT :app_version
WHERE NOT EXISTS (SELECT 1 FROM hub.app_version WHERE app_version = :app_version);

-- join: a host is there
INSERT INTO hub.member
    (member, description, address, app_version, newness, orchestrators, load, lives_until)
SELECT :member, :description, :address, :app_version, newness, :orchestrators, '{}',
    clock_timestamp() + make_interval(secs => :seconds)
FROM hub.app_version WHERE app_version = :app_version
ON CONFLICT (member) DO UPDATE SET lives_until = excluded.lives_until,
    heard_at = excluded.heard_at, is_leaving = false;

-- forget_members: who has been dead for long
DELETE FROM hub.member WHERE lives_until < clock_timestamp() - interval '1 day';

-- live_on: a host and the leases of its owners live on, in which hub; no member when it was forgotten
WITH renewed AS (
    UPDATE hub.owner SET lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE owner = ANY (:owners::text[])),
alive AS (
    UPDATE hub.member SET lives_until = clock_timestamp() + make_interval(secs => :seconds),
        heard_at = clock_timestamp(), is_leaving = :is_leaving, load = :load
    WHERE member = :member RETURNING member)
SELECT (SELECT member FROM alive), incarnation FROM hub.hub;

-- leave: a host is not there any more
DELETE FROM hub.member WHERE member = :member;

-- roster: the hosts that live, and who has which partition
SELECT (
    SELECT json_agg(json_build_object(
        'member', member, 'description', description, 'address', address,
        'app_version', app_version, 'newness', newness, 'is_leaving', is_leaving,
        'joined_at', (extract(epoch FROM joined_at) * 1000000)::bigint, 'load', load::json
    ) ORDER BY joined_at, member)
    FROM hub.member WHERE lives_until > clock_timestamp()
) AS members, (
    SELECT json_agg(json_build_object(
        'partition', partition.partition, 'epoch', partition.epoch, 'owner', partition.owner,
        'member', owner.member,
        'is_free', coalesce(owner.lease_until < clock_timestamp(), true),
        'ends_in', extract(epoch FROM owner.lease_until - clock_timestamp())::float8
    ) ORDER BY partition.partition)
    FROM hub.partition AS partition LEFT JOIN hub.owner AS owner ON owner.owner = partition.owner
) AS places;

-- census: the hosts that live or died lately, and who has or had which partition
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at, (
    SELECT json_agg(json_build_object(
        'member', member, 'description', description, 'address', address,
        'app_version', app_version, 'newness', newness, 'is_leaving', is_leaving,
        'joined_at', (extract(epoch FROM joined_at) * 1000000)::bigint, 'load', load::json,
        'orchestrators', to_json(orchestrators),
        'heard_at', (extract(epoch FROM heard_at) * 1000000)::bigint,
        'lives_until', (extract(epoch FROM lives_until) * 1000000)::bigint,
        'is_alive', lives_until > clock_timestamp()
    ) ORDER BY joined_at, member)
    FROM hub.member WHERE lives_until > clock_timestamp() - interval '10 minutes'
        OR member IN (SELECT owner.member FROM hub.owner AS owner
            JOIN hub.partition AS partition ON partition.owner = owner.owner)
) AS hosts, (
    SELECT json_agg(json_build_object(
        'partition', partition.partition, 'member', owner.member,
        'description', coalesce(owner.description, ''),
        'is_free', coalesce(owner.lease_until < clock_timestamp(), true),
        'until',
            (extract(epoch FROM coalesce(owner.lease_until, partition.freed_at)) * 1000000)::bigint
    ) ORDER BY partition.partition)
    FROM hub.partition AS partition LEFT JOIN hub.owner AS owner ON owner.owner = partition.owner
) AS places;

-- free_partitions: those of these that nobody has, or whose lease has ended; asked when they are
-- locked, so that one is seen who took them a moment ago
SELECT partition.partition FROM hub.partition AS partition
LEFT JOIN hub.owner AS owner ON owner.owner = partition.owner
WHERE partition.partition = ANY (:partitions::int[])
    AND coalesce(owner.lease_until < clock_timestamp(), true);

-- outlived: these were taken from an owner that lives; whoever has taken them since had them from it
UPDATE hub.partition SET deaths = greatest(deaths - 1, 0)
FROM unnest(:partitions::int[], :epochs::bigint[]) AS lost (partition, epoch)
WHERE partition.partition = lost.partition AND partition.epoch = lost.epoch + 1
    AND NOT partition.served;
