-- The generation of the broker's queue. It grows each time the queue was lost and its tasks are published again,
-- so that confirms of an earlier queue can be told from those of the present one.
CREATE TABLE queue (
    generation INTEGER NOT NULL
);
INSERT INTO queue (generation) VALUES (0);
