-- ``deaths`` of hosts while a message was in work count beside what its function has failed in.
-- ``queued_at`` of a message that was given back is when that was; ``came_at`` is when it was put in
-- first, where that is another moment.
ALTER TABLE queued ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queued ADD COLUMN came_at INTEGER;

-- When what was put aside was queued or published.
ALTER TABLE failed_delivery ADD COLUMN came_at INTEGER;
