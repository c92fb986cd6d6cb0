-- The kinds of task that a worker runs, as its heartbeat tells them: JSON, empty for a worker of an older version.
ALTER TABLE processes ADD COLUMN kinds TEXT NOT NULL DEFAULT '[]';
