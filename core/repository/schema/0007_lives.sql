-- The place of each process among those of its role, name and host, counted once, when it registers.
ALTER TABLE processes ADD COLUMN life INTEGER NOT NULL DEFAULT 1;
UPDATE processes SET life = counted.life FROM (
    SELECT number, row_number() OVER (PARTITION BY role, host, name ORDER BY number) AS life FROM processes
) AS counted
WHERE processes.number = counted.number;
CREATE INDEX processes_named ON processes (role, host, name, number);
