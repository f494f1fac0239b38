-- Calls that have not ended, or whose end is not in their room's log yet.
CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    running INTEGER NOT NULL,
    state TEXT NOT NULL                  -- JSON
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX calls_running ON calls (room_id) WHERE running;
