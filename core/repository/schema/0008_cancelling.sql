-- When a client has cancelled the task while it ran. It ends with the next outcome: done or cancelled.
ALTER TABLE tasks ADD COLUMN cancel_asked_at REAL;

-- For workers, which stop these tasks. It is nearly always empty.
CREATE INDEX tasks_cancelling ON tasks (seq) WHERE cancel_asked_at IS NOT NULL AND stored_at IS NULL;
