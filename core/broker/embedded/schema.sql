CREATE TABLE queues (
    queue INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    ready INTEGER NOT NULL DEFAULT 0      -- messages that nobody holds; changed together with them
) STRICT;

INSERT INTO queues (queue, name) VALUES (1, 'cauce.tasks'), (2, 'cauce.dead');

-- A consumer's lease is over when `lease` seconds have passed since `renewed_at`, a time of the machine's monotonic clock.
CREATE TABLE consumers (
    number INTEGER PRIMARY KEY,           -- random, so that it means nothing in another file
    queue INTEGER NOT NULL,
    bell INTEGER NOT NULL,                -- the port by which it is woken
    lease REAL NOT NULL,
    renewed_at REAL NOT NULL
) STRICT;

-- AUTOINCREMENT: an id is never used again, so that a late acknowledgement can't meet another message.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    holder INTEGER,                       -- the consumer that holds it
    redeliveries INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX messages_ready ON messages (queue) WHERE holder IS NULL;
CREATE INDEX messages_held ON messages (holder) WHERE holder IS NOT NULL;
