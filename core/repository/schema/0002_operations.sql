-- The bulk actions of operators, so that they can be undone.
CREATE TABLE operations (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL CHECK (kind IN ('retry', 'discard')),
    at        REAL NOT NULL,
    who       TEXT NOT NULL,              -- the user's login name
    tasks     INTEGER NOT NULL DEFAULT 0, -- how many it moved
    undone_at REAL
);

-- The last operation that moved the task.
ALTER TABLE tasks ADD COLUMN operation INTEGER;
CREATE INDEX tasks_operated ON tasks (operation) WHERE operation IS NOT NULL;
