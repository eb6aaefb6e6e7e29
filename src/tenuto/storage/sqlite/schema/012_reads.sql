-- What was put aside is found by the event or message that it was, and by what that was caused by.
CREATE INDEX failed_delivery_message ON failed_delivery (source, name, message_id);
CREATE INDEX failed_delivery_by_cause ON failed_delivery (cause) WHERE cause IS NOT NULL;

-- How much waits for each other hub, kept by whoever writes or deletes it: hosts ask for that after
-- each write of another process, and clients before each of their own.
CREATE TABLE outgoing_total (
    hub      TEXT PRIMARY KEY,
    messages INTEGER NOT NULL,
    bytes    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO outgoing_total (hub, messages, bytes)
    SELECT hub, count(*), sum(octet_length(message)) FROM outgoing GROUP BY hub;

CREATE TRIGGER outgoing_comes AFTER INSERT ON outgoing BEGIN
    INSERT OR IGNORE INTO outgoing_total (hub, messages, bytes) VALUES (new.hub, 0, 0);
    UPDATE outgoing_total SET messages = messages + 1, bytes = bytes + octet_length(new.message)
        WHERE hub = new.hub;
END;

CREATE TRIGGER outgoing_goes AFTER DELETE ON outgoing BEGIN
    UPDATE outgoing_total SET messages = messages - 1, bytes = bytes - octet_length(old.message)
        WHERE hub = old.hub;
END;
