-- The tasks that ended, in the order of the commits: one row for each transaction that ended tasks, so that lists of
-- results can be followed. Only one transaction writes at a time, so the numbers have no gaps. The oldest are removed.
CREATE TABLE endings (
    number INTEGER PRIMARY KEY,
    seqs   TEXT -- JSON: tasks.seq, or NULL when operators moved tasks that had ended
);
