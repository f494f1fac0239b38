-- How good calls were: a row for each device that was in one; device_id '': of the call itself.
CREATE TABLE call_quality (
    call_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    updated_at INTEGER NOT NULL,         -- ms since the Unix epoch
    version INTEGER NOT NULL,
    state TEXT NOT NULL,                 -- JSON, at most 64 KiB
    PRIMARY KEY (call_id, device_id)
) STRICT;
CREATE INDEX call_quality_updated ON call_quality (updated_at);
