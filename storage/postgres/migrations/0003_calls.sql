-- compatible_from: 2
-- Calls that have not ended, or whose end is not in their room's log yet.
CREATE TABLE calls (
    id text COLLATE "C" PRIMARY KEY,
    room_id text NOT NULL,
    owner text NOT NULL,
    running boolean NOT NULL,
    state text NOT NULL                  -- JSON
);
CREATE UNIQUE INDEX calls_running ON calls (room_id) WHERE running;
