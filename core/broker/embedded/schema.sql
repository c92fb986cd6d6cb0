CREATE TABLE queues (
    queue INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    ready INTEGER NOT NULL DEFAULT 0      -- messages that no consumer holds; updated with them
) STRICT;

INSERT INTO queues (queue, name) VALUES (1, 'cauce.tasks'), (2, 'cauce.dead');

-- A consumer's lease expires `lease` seconds after `renewed_at`, a time of the machine's monotonic clock.
CREATE TABLE consumers (
    number INTEGER PRIMARY KEY,           -- random, so that it means nothing in another file
    queue INTEGER NOT NULL,
    bell INTEGER NOT NULL,                -- the port where it receives wakeups
    lease REAL NOT NULL,
    renewed_at REAL NOT NULL
) STRICT;

-- AUTOINCREMENT: an id is never reused, so that a late acknowledgement can't settle another message.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    holder INTEGER,                       -- the consumer that holds it
    redeliveries INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX messages_ready ON messages (queue) WHERE holder IS NULL;
CREATE INDEX messages_held ON messages (holder) WHERE holder IS NOT NULL;
