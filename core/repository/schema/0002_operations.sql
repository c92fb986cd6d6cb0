-- What operators did to many tasks at once, so that it can be undone.
CREATE TABLE operations (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL CHECK (kind IN ('retry', 'discard')),
    at        REAL NOT NULL,
    who       TEXT NOT NULL,              -- the user, by the name that the system gives
    tasks     INTEGER NOT NULL DEFAULT 0, -- how many it moved
    undone_at REAL
);

-- The operation that moved a task last.
ALTER TABLE tasks ADD COLUMN operation INTEGER;
CREATE INDEX tasks_operated ON tasks (operation) WHERE operation IS NOT NULL;
