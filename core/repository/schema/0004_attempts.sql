-- The attempts of each task before the one that its row in `tasks` is about: those that failed and were followed by
-- another, and those that ended with the death of their worker. An attempt is moved here when the next one is queued or
-- begins, so a task that ends with its first attempt has no row here.
CREATE TABLE attempts (
    seq             INTEGER NOT NULL,
    number          INTEGER NOT NULL, -- from 1; tasks.attempts + tasks.lost when it had ended
    state           TEXT NOT NULL CHECK (state IN ('failed', 'lost')),
    worker          TEXT,
    queued_at       REAL,
    taken_at        REAL,
    started_at      REAL,
    finished_at     REAL,
    error_type      TEXT,
    error_message   TEXT,             -- shortened
    error_traceback TEXT,             -- its end
    retried_at      REAL,             -- when an operator had the task run again after this attempt
    retried_by      TEXT,
    stored_at       REAL,             -- when the task had ended with this attempt, before that
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;

-- The last 20 attempts of a task are kept, besides the one in its row.
CREATE TRIGGER attempts_kept AFTER INSERT ON attempts WHEN new.number > 20
BEGIN
    DELETE FROM attempts WHERE seq = new.seq AND number <= new.number - 20;
END;

-- Attempts that ended with the death of their worker, besides those that `attempts` counts.
ALTER TABLE tasks ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
UPDATE tasks SET lost = strikes
WHERE state IN ('failed', 'cancelled') AND error_signature IN ('worker-lost', 'delivery-limit');

-- The views count all attempts.
DROP VIEW results;
CREATE VIEW results AS
SELECT
    seq,
    id,
    kind,
    payload,
    state,
    result,
    error_type || ': ' || error_message AS error,
    attempts + lost AS attempts,
    worker,
    datetime(accepted_at, 'unixepoch', 'localtime') AS accepted,
    datetime(stored_at, 'unixepoch', 'localtime') AS stored,
    round(finished_at - started_at, 3) AS seconds
FROM tasks
WHERE stored_at IS NOT NULL;

DROP VIEW resultados;
CREATE VIEW resultados AS
SELECT
    seq AS numero,
    id,
    kind AS tipo,
    payload AS tarea,
    CASE state WHEN 'done' THEN 'hecha' WHEN 'failed' THEN 'fallida' ELSE 'cancelada' END AS estado,
    result AS resultado,
    error_type || ': ' || error_message AS error,
    attempts + lost AS intentos,
    worker AS trabajador,
    datetime(accepted_at, 'unixepoch', 'localtime') AS aceptada,
    datetime(stored_at, 'unixepoch', 'localtime') AS guardada,
    round(finished_at - started_at, 3) AS segundos
FROM tasks
WHERE stored_at IS NOT NULL;
