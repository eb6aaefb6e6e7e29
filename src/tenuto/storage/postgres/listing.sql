-- Listings of instances, in the form of queries.sql: a page of times and iids that goes on after the
-- last row of the page before.

-- list_newest: a page of iids with creation times, newest first
SELECT created_at AS time, iid FROM hub.instance
WHERE created_at >= :created_from AND created_at < :created_to
    AND (created_at, iid) < (:after_time::bigint, :after_iid::bigint)
    AND (:name::text IS NULL OR name = :name)
    AND (:held::boolean IS NULL OR (held_for IS NOT NULL) = :held)
    AND (:completed_from::bigint IS NULL OR completed_at >= :completed_from)
    AND (:completed_to::bigint IS NULL OR completed_at < :completed_to)
    AND (:statuses::smallint[] IS NULL OR status = ANY (:statuses))
    AND (:parent::text IS NULL OR parent_id = :parent)
    AND (:id_from::text IS NULL OR instance_id >= :id_from)
    AND (:id_to::text IS NULL OR instance_id < :id_to)
ORDER BY created_at DESC, iid DESC LIMIT :rows;

-- list_oldest: the same, oldest first
SELECT created_at AS time, iid FROM hub.instance
WHERE created_at >= :created_from AND created_at < :created_to
    AND (created_at, iid) > (:after_time::bigint, :after_iid::bigint)
    AND (:name::text IS NULL OR name = :name)
    AND (:held::boolean IS NULL OR (held_for IS NOT NULL) = :held)
    AND (:completed_from::bigint IS NULL OR completed_at >= :completed_from)
    AND (:completed_to::bigint IS NULL OR completed_at < :completed_to)
    AND (:statuses::smallint[] IS NULL OR status = ANY (:statuses))
    AND (:parent::text IS NULL OR parent_id = :parent)
    AND (:id_from::text IS NULL OR instance_id >= :id_from)
    AND (:id_to::text IS NULL OR instance_id < :id_to)
ORDER BY created_at, iid LIMIT :rows;

-- list_last_completed: a page of iids with times of completion, the last first
SELECT completed_at AS time, iid FROM hub.instance
WHERE completed_at IS NOT NULL
    AND (:completed_from::bigint IS NULL OR completed_at >= :completed_from)
    AND (:completed_to::bigint IS NULL OR completed_at < :completed_to)
    AND (completed_at, iid) < (:after_time::bigint, :after_iid::bigint)
    AND created_at >= :created_from AND created_at < :created_to
    AND (:parent::text IS NULL OR parent_id = :parent)
    AND (:id_from::text IS NULL OR instance_id >= :id_from)
    AND (:id_to::text IS NULL OR instance_id < :id_to)
    AND (:name::text IS NULL OR name = :name)
    AND (:held::boolean IS NULL OR (held_for IS NOT NULL) = :held)
    AND (:statuses::smallint[] IS NULL OR status = ANY (:statuses))
ORDER BY completed_at DESC, iid DESC LIMIT :rows;

-- list_first_completed: the same, the first first
SELECT completed_at AS time, iid FROM hub.instance
WHERE completed_at IS NOT NULL
    AND (:completed_from::bigint IS NULL OR completed_at >= :completed_from)
    AND (:completed_to::bigint IS NULL OR completed_at < :completed_to)
    AND (completed_at, iid) > (:after_time::bigint, :after_iid::bigint)
    AND created_at >= :created_from AND created_at < :created_to
    AND (:parent::text IS NULL OR parent_id = :parent)
    AND (:id_from::text IS NULL OR instance_id >= :id_from)
    AND (:id_to::text IS NULL OR instance_id < :id_to)
    AND (:name::text IS NULL OR name = :name)
    AND (:held::boolean IS NULL OR (held_for IS NOT NULL) = :held)
    AND (:statuses::smallint[] IS NULL OR status = ANY (:statuses))
ORDER BY completed_at, iid LIMIT :rows;
