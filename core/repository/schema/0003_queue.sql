-- Which queue the broker's messages are on. It counts up each time what was on the former one had to be published again,
-- so that what the broker confirms of the former one can be told from what is on this one.
CREATE TABLE queue (
    generation INTEGER NOT NULL
);
INSERT INTO queue (generation) VALUES (0);
