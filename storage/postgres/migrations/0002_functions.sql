-- compatible_from: 1
-- A function that changes gets a new name (…_v2): the nodes of the version before still call the old one.

CREATE FUNCTION receive_v1(p_room text, p_user text, p_read bigint, p_delivered bigint)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO receipts AS r (room_id, user_id, read_seq, delivered_seq)
    VALUES (p_room, p_user, p_read, p_delivered)
    ON CONFLICT (room_id, user_id) DO UPDATE SET
        read_seq = greatest(r.read_seq, excluded.read_seq),
        delivered_seq = greatest(r.delivered_seq, excluded.delivered_seq)
$$;

-- The fold of events p_from+1..p_to, as storage.postgres.changes writes it down: [[kind, ...], ...].
CREATE FUNCTION apply_v1(
    p_room text, p_from bigint, p_to bigint, p_beside_log boolean, p_changes jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_at bigint;
    c jsonb;
BEGIN
    INSERT INTO applied (room_id, seq) VALUES (p_room, 0) ON CONFLICT DO NOTHING;
    SELECT seq INTO v_at FROM applied WHERE room_id = p_room FOR UPDATE;
    IF v_at <> p_from OR p_beside_log AND p_to > 0 AND NOT EXISTS (
        SELECT FROM logs WHERE room_id = p_room AND head >= p_to)
    THEN
        RETURN v_at;
    END IF;
    FOR c IN SELECT value FROM jsonb_array_elements(p_changes) LOOP
        CASE c ->> 0
        WHEN 'receipt' THEN
            PERFORM receive_v1(p_room, c ->> 1, (c ->> 2)::bigint, (c ->> 3)::bigint);
        WHEN 'mention' THEN
            INSERT INTO mentions (room_id, user_id, sender_id, seq)
            VALUES (p_room, c ->> 1, c ->> 2, (c ->> 3)::bigint) ON CONFLICT DO NOTHING;
        WHEN 'reply' THEN
            INSERT INTO replies (room_id, thread_seq, seq)
            VALUES (p_room, (c ->> 1)::bigint, (c ->> 2)::bigint) ON CONFLICT DO NOTHING;
        WHEN 'react' THEN
            INSERT INTO reactions (room_id, seq, user_id, emoji, event_seq)
            VALUES (p_room, (c ->> 1)::bigint, c ->> 2, c ->> 3, (c ->> 4)::bigint)
            ON CONFLICT (room_id, seq, user_id, emoji) DO UPDATE SET event_seq = excluded.event_seq;
        WHEN 'unreact' THEN
            DELETE FROM reactions WHERE room_id = p_room AND seq = (c ->> 1)::bigint
                AND user_id = c ->> 2 AND emoji = c ->> 3;
        WHEN 'edit' THEN
            INSERT INTO edits AS e (room_id, seq, content, edited_seq)
            VALUES (p_room, (c ->> 1)::bigint, c ->> 2, (c ->> 3)::bigint)
            ON CONFLICT (room_id, seq) DO UPDATE SET
                content = excluded.content, edited_seq = excluded.edited_seq
            WHERE excluded.edited_seq > e.edited_seq;
        WHEN 'gone' THEN
            INSERT INTO gone (room_id, seq, gone)
            VALUES (p_room, (c ->> 1)::bigint, (c ->> 2)::smallint)
            ON CONFLICT (room_id, seq) DO UPDATE SET gone = excluded.gone;
            DELETE FROM edits WHERE room_id = p_room AND seq = (c ->> 1)::bigint;
            DELETE FROM reactions WHERE room_id = p_room AND seq = (c ->> 1)::bigint;
            DELETE FROM mentions WHERE room_id = p_room AND seq = (c ->> 1)::bigint;
        WHEN 'member' THEN
            -- A later member event ends a subscription; an older one (folded again) does not.
            DELETE FROM readers WHERE room_id = p_room AND user_id = c ->> 1
                AND joined_seq < (c ->> 3)::bigint;
            INSERT INTO members (room_id, user_id, role, joined_seq, joined_at)
            VALUES (p_room, c ->> 1, c ->> 2, (c ->> 3)::bigint, (c ->> 4)::bigint)
            ON CONFLICT (room_id, user_id) DO UPDATE SET role = excluded.role;
        WHEN 'drop' THEN
            DELETE FROM members WHERE room_id = p_room AND user_id = c ->> 1;
        WHEN 'room' THEN
            INSERT INTO rooms (
                room_id, kind, visibility, history, e2ee, created_at, name, topic, folded_name)
            VALUES (c ->> 1, c ->> 2, c ->> 3, c ->> 4, (c ->> 5)::boolean, (c ->> 6)::bigint,
                c ->> 7, c ->> 8, c ->> 9)
            ON CONFLICT (room_id) DO UPDATE SET
                kind = excluded.kind, visibility = excluded.visibility,
                history = excluded.history, e2ee = excluded.e2ee,
                created_at = excluded.created_at, name = excluded.name,
                topic = excluded.topic, folded_name = excluded.folded_name;
        END CASE;
    END LOOP;
    UPDATE applied SET seq = p_to WHERE room_id = p_room;
    RETURN p_to;
END
$$;

-- Appends to many rooms, each all or nothing on its own condition, all of them in one transaction.
-- Batch i is element i of the b_ arrays (rooms ascending, each once); e_batch, c_batch and g_batch
-- say which batch an event, a claim or a blanking belongs to; a column of nulls may be left empty.
-- An event with a digest claims its sender's client id; the c_ arrays are the claims beside those.
-- Returns what was refused: of batch i the head (-1: no log), once for each claim that is taken, or
-- with nulls when none is.
CREATE FUNCTION append_v1(
    b_room text[], b_if_head bigint[], b_head bigint[], b_n bigint[],
    e_batch int[], e_seq bigint[], e_type smallint[], e_at bigint[], e_n bigint[], e_id text[],
    e_sender text[], e_device text[], e_client text[], e_content bytea[], e_digest bytea[],
    e_target bigint[], e_reply bigint[], e_thread bigint[], e_mentions text[], e_files text[],
    e_expires bigint[], e_gone smallint[],
    c_batch int[], c_client text[], c_sender text[], c_seq bigint[], c_digest bytea[], c_at bigint[],
    g_batch int[], g_seq bigint[], g_gone smallint[])
RETURNS TABLE (
    batch int, head bigint, sender_id text, client_id text, seq bigint, digest bytea, at bigint)
LANGUAGE plpgsql
-- One plan for all calls, by the primary keys: what the planner guesses of arrays and of a young
-- table's statistics leads to whole scans.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    v_keys bigint[];
    v_heads bigint[];
    v_found text[] COLLATE "C";
    v_ok boolean[];
    v_all boolean;
BEGIN
    -- Locks first, always in the order of room ids: two processes never wait for each other. The
    -- statements after it see what the holders before committed.
    SELECT array_agg(l.key), array_agg(l.head), array_agg(l.room_id) INTO v_keys, v_heads, v_found
    FROM (
        SELECT l.key, l.head, l.room_id FROM logs l
        WHERE l.room_id = ANY (b_room) ORDER BY l.room_id FOR NO KEY UPDATE) l;
    IF v_found IS DISTINCT FROM b_room THEN
        SELECT array_agg(f.key ORDER BY b.i), array_agg(coalesce(f.head, -1) ORDER BY b.i)
        INTO v_keys, v_heads
        FROM unnest(b_room) WITH ORDINALITY AS b (room_id, i)
        LEFT JOIN unnest(v_found, v_keys, v_heads) AS f (room_id, key, head)
            ON f.room_id = b.room_id;
    END IF;
    v_all := v_heads = b_if_head;
    v_ok := array_fill(true, ARRAY[array_length(b_room, 1)]);
    IF NOT v_all THEN
        FOR i IN 1 .. array_length(b_room, 1) LOOP
            v_ok[i] := v_heads[i] = b_if_head[i];
            IF NOT v_ok[i] THEN
                batch := i; head := v_heads[i];
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;

    FOR batch, sender_id, client_id, seq, digest, at IN
        SELECT g.batch, c.sender_id, c.client_id, c.seq, c.digest, c.at
        FROM (
            SELECT e_batch[i] AS batch, e_client[i] AS client_id, e_sender[i] AS sender_id
            FROM generate_subscripts(e_digest, 1) AS i WHERE e_digest[i] IS NOT NULL
            UNION ALL
            SELECT * FROM unnest(c_batch, c_client, c_sender)) AS g
        JOIN claims c ON c.client_id = g.client_id AND c.log = v_keys[g.batch]
            AND c.sender_id = g.sender_id
    LOOP
        head := v_heads[batch];
        v_ok[batch] := false;
        v_all := false;
        RETURN NEXT;
    END LOOP;

    UPDATE logs l SET head = b.head, n = coalesce(b.n, l.n)
    FROM unnest(v_keys, b_head, b_n, v_ok) AS b (key, head, n, ok)
    WHERE l.key = b.key AND b.ok;

    INSERT INTO events (
        log, seq, type, at, n, id, sender_id, device_id, client_id, content, target_seq, reply_to,
        thread_seq, mentions, file_ids, expires_at, gone)
    SELECT v_keys[e_batch[i]], e_seq[i], e_type[i], e_at[i], e_n[i], e_id[i], e_sender[i],
        e_device[i], e_client[i], e_content[i], e_target[i], e_reply[i], e_thread[i],
        e_mentions[i], e_files[i], e_expires[i], e_gone[i]
    FROM generate_subscripts(e_batch, 1) AS i
    WHERE v_all OR v_ok[e_batch[i]];

    INSERT INTO claims (client_id, log, sender_id, seq, digest, at)
    SELECT e_client[i], v_keys[e_batch[i]], e_sender[i], e_seq[i], e_digest[i], e_at[i]
    FROM generate_subscripts(e_digest, 1) AS i
    WHERE e_digest[i] IS NOT NULL AND (v_all OR v_ok[e_batch[i]]);

    IF c_batch <> '{}' THEN
        INSERT INTO claims (client_id, log, sender_id, seq, digest, at)
        SELECT c.client_id, v_keys[c.batch], c.sender_id, c.seq, c.digest, c.at
        FROM unnest(c_batch, c_client, c_sender, c_seq, c_digest, c_at)
            AS c (batch, client_id, sender_id, seq, digest, at)
        WHERE v_ok[c.batch];
    END IF;

    IF g_batch <> '{}' THEN
        UPDATE events e SET content = NULL, mentions = NULL, file_ids = NULL, gone = g.gone
        FROM unnest(g_batch, g_seq, g_gone) AS g (batch, seq, gone)
        WHERE v_ok[g.batch] AND e.log = v_keys[g.batch] AND e.seq = g.seq AND e.gone IS NULL;
    END IF;
END
$$;
