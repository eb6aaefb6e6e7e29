-- What was put aside is found by the event or message that it was, and by what that was caused by.
CREATE INDEX failed_delivery_message ON failed_delivery (source, name, message_id);
CREATE INDEX failed_delivery_by_cause ON failed_delivery (cause) WHERE cause IS NOT NULL;
