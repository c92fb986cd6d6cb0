-- One row for each task: what was accepted, and its result.
CREATE TABLE tasks (
    seq             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    kind            TEXT NOT NULL,
    payload         TEXT NOT NULL,              -- JSON
    state           TEXT NOT NULL CHECK (state IN ('accepted', 'queued', 'retrying', 'done', 'failed', 'cancelled')),
    owner           INTEGER,                    -- processes.number of the server that must publish it
    due_at          REAL NOT NULL DEFAULT 0,    -- 0: now
    attempts        INTEGER NOT NULL DEFAULT 0, -- attempts that have ended
    strikes         INTEGER NOT NULL DEFAULT 0, -- attempts that began after a redelivery and did not end
    retries         INTEGER,                    -- NULL: the kind's default
    worker          TEXT,
    result          TEXT,                       -- JSON
    error_type      TEXT,
    error_message   TEXT,
    error_traceback TEXT,
    error_signature TEXT,
    -- The timeline, in seconds since the epoch.
    sent_at         REAL,
    received_at     REAL NOT NULL,
    accepted_at     REAL NOT NULL,
    queued_at       REAL,
    taken_at        REAL,
    started_at      REAL,
    finished_at     REAL,
    stored_at       REAL                        -- when the task ended
);

-- For dispatchers. A task leaves this index when it is queued, so it stays small.
CREATE INDEX tasks_waiting ON tasks (owner, due_at) WHERE state IN ('accepted', 'retrying');

-- The results, in the order in which they were stored.
CREATE INDEX tasks_ended ON tasks (stored_at) WHERE stored_at IS NOT NULL;

-- For operators.
CREATE INDEX tasks_unsuccessful ON tasks (state, seq) WHERE state IN ('failed', 'cancelled');

-- The number of tasks in each state, updated in the transactions that move the tasks.
CREATE TABLE ledger (
    state TEXT PRIMARY KEY,
    tasks INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO ledger (state, tasks)
VALUES ('accepted', 0), ('queued', 0), ('retrying', 0), ('done', 0), ('failed', 0), ('cancelled', 0);

-- One row for each server and worker, written by its heartbeat.
CREATE TABLE processes (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    role       TEXT NOT NULL,
    name       TEXT NOT NULL,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    address    TEXT NOT NULL,
    threads    INTEGER NOT NULL,
    started_at REAL NOT NULL,
    beat       INTEGER NOT NULL,
    seen_at    REAL NOT NULL,
    status     TEXT NOT NULL,
    counters   TEXT NOT NULL, -- JSON
    in_hand    TEXT NOT NULL  -- JSON: the tasks that it runs
);

-- One row for each process and second: its counters.
CREATE TABLE samples (
    second   INTEGER NOT NULL,
    process  INTEGER NOT NULL,
    counters TEXT NOT NULL, -- JSON
    in_hand  INTEGER NOT NULL,
    PRIMARY KEY (second, process)
) WITHOUT ROWID;

-- For users of the SQLite shell; the second has Spanish names.
CREATE VIEW results AS
SELECT
    seq,
    id,
    kind,
    payload,
    state,
    result,
    error_type || ': ' || error_message AS error,
    attempts,
    worker,
    datetime(accepted_at, 'unixepoch', 'localtime') AS accepted,
    datetime(stored_at, 'unixepoch', 'localtime') AS stored,
    round(finished_at - started_at, 3) AS seconds
FROM tasks
WHERE stored_at IS NOT NULL;

CREATE VIEW resultados AS
SELECT
    seq AS numero,
    id,
    kind AS tipo,
    payload AS tarea,
    CASE state WHEN 'done' THEN 'hecha' WHEN 'failed' THEN 'fallida' ELSE 'cancelada' END AS estado,
    result AS resultado,
    error_type || ': ' || error_message AS error,
    attempts AS intentos,
    worker AS trabajador,
    datetime(accepted_at, 'unixepoch', 'localtime') AS aceptada,
    datetime(stored_at, 'unixepoch', 'localtime') AS guardada,
    round(finished_at - started_at, 3) AS segundos
FROM tasks
WHERE stored_at IS NOT NULL;
