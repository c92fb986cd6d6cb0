-- The runner of the attempt, counted within its worker, and what the attempt said of itself last (JSON), if anything.
ALTER TABLE tasks ADD COLUMN runner INTEGER;
ALTER TABLE tasks ADD COLUMN report TEXT;
ALTER TABLE attempts ADD COLUMN runner INTEGER;
ALTER TABLE attempts ADD COLUMN report TEXT;
