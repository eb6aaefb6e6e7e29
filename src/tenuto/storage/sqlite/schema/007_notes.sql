-- What the owners of partitions keep beside instances, such as when a timer ran last. Few and short.
CREATE TABLE note (
    key  TEXT PRIMARY KEY,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
