-- Facts that wait for workers: a row for each group that wants it, gone when the group is done with it.
CREATE TABLE bus_groups (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    wants TEXT NOT NULL                  -- a JSON list
) STRICT;
CREATE TABLE outbox (
    pos INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: a late `done` must not hit another fact
    grp INTEGER NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,      -- ms since the Unix epoch; 0: never taken
    attempts INTEGER NOT NULL DEFAULT 0,
    fact TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (grp, due);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp TEXT NOT NULL,                   -- by name: the group may be gone
    fact TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    died_at INTEGER NOT NULL
) STRICT;
