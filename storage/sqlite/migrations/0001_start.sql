-- Room logs. pos = room key << 32 | seq: one b-tree, clustered by room and order, keyed by one integer.
CREATE TABLE rooms (
    key INTEGER PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    log_id TEXT,                         -- null: something is derived or kept for the room, but it has no log
    first_seq INTEGER NOT NULL DEFAULT 1,
    base_n INTEGER NOT NULL DEFAULT 0    -- n at first_seq - 1
) STRICT;

CREATE TABLE events (
    pos INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    at INTEGER NOT NULL,
    n INTEGER NOT NULL,
    id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    client_id TEXT,
    content TEXT,
    target_pos INTEGER,
    reply_to INTEGER,
    thread_seq INTEGER,
    mentions TEXT,
    file_ids TEXT,
    expires_at INTEGER,
    gone INTEGER,
    turns INTEGER                        -- 1: a message after something else, or the other way round
) STRICT;
CREATE INDEX events_turns ON events (pos) WHERE turns = 1;
CREATE INDEX events_targeting ON events (target_pos, type) WHERE target_pos IS NOT NULL;
CREATE INDEX events_due ON events (expires_at) WHERE expires_at IS NOT NULL AND gone IS NULL;
CREATE INDEX events_kept ON events (at) WHERE type < 2 AND gone IS NULL;

-- The client's id first: ids are dated, so new claims share the last pages instead of touching one each.
CREATE TABLE claims (
    client_id TEXT NOT NULL,
    room INTEGER NOT NULL,
    sender_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (client_id, room, sender_id)
) STRICT, WITHOUT ROWID;

-- Projections.
CREATE TABLE applied (room INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE room_rows (
    room INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    visibility TEXT NOT NULL,
    history TEXT NOT NULL,
    e2ee INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    name TEXT,
    topic TEXT,
    folded_name TEXT NOT NULL
) STRICT;
CREATE INDEX room_rows_public ON room_rows (id) WHERE visibility = 'public';
CREATE TABLE members (
    room INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    joined_seq INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id, room);
CREATE TABLE readers (
    room INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    joined_seq INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX readers_by_user ON readers (user_id, room);
CREATE VIEW people AS
    SELECT room, user_id, role, joined_seq, joined_at FROM members
    UNION ALL
    SELECT room, user_id, role, joined_seq, joined_at FROM readers r
    WHERE NOT EXISTS (SELECT 1 FROM members m WHERE m.room = r.room AND m.user_id = r.user_id);
CREATE TABLE receipts (
    room INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    read_seq INTEGER NOT NULL,
    delivered_seq INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE mentions (
    room INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    sender_id TEXT NOT NULL,
    PRIMARY KEY (room, user_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_by_seq ON mentions (room, seq);
CREATE TABLE edits (pos INTEGER PRIMARY KEY, content TEXT NOT NULL, edited_seq INTEGER NOT NULL) STRICT;
CREATE TABLE gone (pos INTEGER PRIMARY KEY, gone INTEGER NOT NULL) STRICT;
CREATE TABLE reactions (
    pos INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    emoji TEXT NOT NULL,
    event_seq INTEGER NOT NULL,
    PRIMARY KEY (pos, user_id, emoji)
) STRICT, WITHOUT ROWID;
CREATE TABLE replies (
    pos INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (pos, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE direct_rooms (
    a TEXT NOT NULL,
    b TEXT NOT NULL,
    room_id TEXT NOT NULL,
    PRIMARY KEY (a, b)
) STRICT, WITHOUT ROWID;

-- Accounts.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    email TEXT,
    admin INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    avatar_file_id TEXT,
    totp_secret TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE user_words (
    word TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (word, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_words_by_user ON user_words (user_id);
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_by_user ON devices (user_id);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    used_generation INTEGER NOT NULL,
    ended_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_open ON sessions (user_id) WHERE ended_at IS NULL;
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE totp_steps (user_id TEXT PRIMARY KEY, step INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE invites (
    hash TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses_left INTEGER NOT NULL,
    admin INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (
    user_id TEXT NOT NULL,
    blocked_id TEXT NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE presence (
    user_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    text TEXT,
    last_seen_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
