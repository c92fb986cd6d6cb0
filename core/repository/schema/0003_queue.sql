-- The generation of the broker's queue. It grows each time the queue is lost and its tasks are published again,
-- so that confirms of an earlier queue are not taken for those of the present one.
CREATE TABLE queue (
    generation INTEGER NOT NULL
);
INSERT INTO queue (generation) VALUES (0);
