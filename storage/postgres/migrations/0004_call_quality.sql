-- compatible_from: 2
-- How good calls were: a row for each device that was in one; device_id '': of the call itself.
CREATE TABLE call_quality (
    call_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    room_id text NOT NULL,
    user_id text NOT NULL,
    updated_at bigint NOT NULL,          -- ms since the Unix epoch
    version bigint NOT NULL,
    state text NOT NULL,                 -- JSON, at most 64 KiB
    PRIMARY KEY (call_id, device_id)
);
CREATE INDEX call_quality_updated ON call_quality (updated_at);
