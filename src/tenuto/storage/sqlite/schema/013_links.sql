-- What the last message said that was taken in, and the last one that the other hub has: so that a
-- store that was put back, and gives its numbers to other messages, is known.
ALTER TABLE linked_hub ADD COLUMN received_mark TEXT NOT NULL DEFAULT '';
ALTER TABLE linked_hub ADD COLUMN delivered_mark TEXT NOT NULL DEFAULT '';
