-- compatible_from: 1
-- Text is compared by code points (COLLATE "C"), as the program sorts it, whatever the database's locale is.

-- Logs of rooms. Rows of `logs` change with each append: half of each page is left for that.
CREATE TABLE logs (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id text COLLATE "C" NOT NULL UNIQUE,
    log_id text NOT NULL,
    head bigint NOT NULL DEFAULT 0,
    n bigint NOT NULL DEFAULT 0,         -- at the head
    first_seq bigint NOT NULL DEFAULT 1,
    base_n bigint NOT NULL DEFAULT 0     -- n at first_seq - 1
) WITH (fillfactor = 50);

CREATE TABLE events (
    log bigint NOT NULL,                 -- key of logs
    seq bigint NOT NULL,
    type smallint NOT NULL,              -- storage.postgres.rows.TYPES
    at bigint NOT NULL,
    n bigint NOT NULL,
    id text NOT NULL,
    sender_id text NOT NULL,
    device_id text NOT NULL,
    client_id text,
    content bytea,                       -- JSON in UTF-8, byte for byte as it was given
    target_seq bigint,
    reply_to bigint,
    thread_seq bigint,
    mentions text,
    file_ids text,
    expires_at bigint,
    gone smallint,                       -- storage.postgres.rows.GONE
    PRIMARY KEY (log, seq)
);
CREATE INDEX events_messages ON events (log, seq) WHERE type = 0;
CREATE INDEX events_targeting ON events (log, target_seq, type) WHERE target_seq IS NOT NULL;
CREATE INDEX events_due ON events (expires_at) WHERE expires_at IS NOT NULL AND gone IS NULL;
CREATE INDEX events_kept ON events (at) WHERE type < 2 AND gone IS NULL;

-- The client's id first: ids are dated, so new claims share the last pages instead of touching one each.
CREATE TABLE claims (
    client_id text COLLATE "C" NOT NULL,
    log bigint NOT NULL,
    sender_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    digest bytea NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (client_id, log, sender_id)
);
CREATE INDEX claims_by_age ON claims USING brin (at);

-- Rooms in which a node appended lately.
CREATE TABLE dirty (
    node_id text COLLATE "C" NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (node_id, room_id)
);

-- Projections, of whatever log: rooms by their ids.
CREATE TABLE applied (
    room_id text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE rooms (
    room_id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    visibility text NOT NULL,
    history text NOT NULL,
    e2ee boolean NOT NULL,
    created_at bigint NOT NULL,
    name text,
    topic text,
    folded_name text COLLATE "C" NOT NULL
);
CREATE INDEX rooms_public ON rooms (room_id) WHERE visibility = 'public';
CREATE TABLE members (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    role text NOT NULL,
    joined_seq bigint NOT NULL,
    joined_at bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX members_by_user ON members (user_id, room_id);
CREATE TABLE readers (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    role text NOT NULL,
    joined_seq bigint NOT NULL,
    joined_at bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX readers_by_user ON readers (user_id, room_id);
CREATE VIEW people AS
    SELECT room_id, user_id, role, joined_seq, joined_at FROM members
    UNION ALL
    SELECT room_id, user_id, role, joined_seq, joined_at FROM readers r
    WHERE NOT EXISTS (
        SELECT FROM members m WHERE m.room_id = r.room_id AND m.user_id = r.user_id);
CREATE TABLE receipts (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    read_seq bigint NOT NULL,
    delivered_seq bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITH (fillfactor = 70);
CREATE TABLE mentions (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    sender_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_id, user_id, seq)
);
CREATE INDEX mentions_by_seq ON mentions (room_id, seq);
CREATE TABLE edits (
    room_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    content text NOT NULL,
    edited_seq bigint NOT NULL,
    PRIMARY KEY (room_id, seq)
);
CREATE TABLE gone (
    room_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    gone smallint NOT NULL,
    PRIMARY KEY (room_id, seq)
);
CREATE TABLE reactions (
    room_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    emoji text COLLATE "C" NOT NULL,
    event_seq bigint NOT NULL,
    PRIMARY KEY (room_id, seq, user_id, emoji)
);
CREATE TABLE replies (
    room_id text COLLATE "C" NOT NULL,
    thread_seq bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (room_id, thread_seq, seq)
);
CREATE TABLE direct_rooms (
    a text COLLATE "C" NOT NULL,
    b text COLLATE "C" NOT NULL,
    room_id text NOT NULL,
    PRIMARY KEY (a, b)
);

-- Accounts.
CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY,
    username text COLLATE "C" NOT NULL UNIQUE,
    display_name text NOT NULL,
    password_hash text NOT NULL,
    created_at bigint NOT NULL,
    email text,
    admin boolean NOT NULL,
    disabled boolean NOT NULL,
    avatar_file_id text,
    totp_secret text
);
CREATE TABLE user_words (
    word text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (word, user_id)
);
CREATE INDEX user_words_by_user ON user_words (user_id);
CREATE TABLE devices (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    platform text NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX devices_by_user ON devices (user_id);
CREATE TABLE sessions (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    device_id text NOT NULL,
    created_at bigint NOT NULL,
    last_used_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    generation bigint NOT NULL,
    used_generation bigint NOT NULL,
    ended_at bigint
);
CREATE INDEX sessions_open ON sessions (user_id) WHERE ended_at IS NULL;
CREATE TABLE recovery_codes (
    user_id text COLLATE "C" NOT NULL,
    hash text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, hash)
);
CREATE TABLE totp_steps (user_id text COLLATE "C" PRIMARY KEY, step bigint NOT NULL);
CREATE TABLE invites (
    hash text COLLATE "C" PRIMARY KEY,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    uses_left bigint NOT NULL,
    admin boolean NOT NULL
);
CREATE TABLE blocks (
    user_id text COLLATE "C" NOT NULL,
    blocked_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
);
CREATE TABLE presence (
    user_id text COLLATE "C" PRIMARY KEY,
    status text NOT NULL,
    text text,
    last_seen_at bigint
);
CREATE TABLE secrets (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);

CREATE TABLE probe (id integer PRIMARY KEY, at bigint NOT NULL);
