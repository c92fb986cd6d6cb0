-- The kinds of task that workers have told of, as each was told last: JSON.
CREATE TABLE kinds (kind TEXT PRIMARY KEY, told TEXT NOT NULL) STRICT, WITHOUT ROWID;
