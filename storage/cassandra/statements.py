"""All statements, by the names that the other modules use. `{k}` is the keyspace."""

from __future__ import annotations

SCHEMA = {
    "steps": "SELECT number, compatible_from FROM {k}.schema_steps WHERE part = 0",
    "step": "INSERT INTO {k}.schema_steps (part, number, compatible_from) VALUES (0, ?, ?)",
    "lock": "INSERT INTO {k}.schema_steps (part, number, owner) VALUES (1, 0, ?) IF NOT EXISTS "
    "USING TTL ?",
    "lock_again": "UPDATE {k}.schema_steps USING TTL ? SET owner = ? WHERE part = 1 AND number = 0 "
    "IF owner = ?",
    "holder": "SELECT owner FROM {k}.schema_steps WHERE part = 1 AND number = 0",
    "unlock": "DELETE FROM {k}.schema_steps WHERE part = 1 AND number = 0 IF owner = ?",
}

_ROW = "kind, seq, meta, content, gone"
_AT = "room = ? AND bucket = ?"

LOG = {
    # rooms
    "room": "SELECT log_id, first_seq, base_n, bucket FROM {k}.rooms WHERE room = ?",
    "rooms": "SELECT room, log_id, first_seq FROM {k}.rooms",
    "rows_from": "SELECT rows_from FROM {k}.rooms WHERE room = ?",
    "set_rows_from": "UPDATE {k}.rooms SET rows_from = ? WHERE room = ?",
    "create": "INSERT INTO {k}.rooms (room, log_id, first_seq, base_n) VALUES (?, ?, 1, 0) "
    "IF NOT EXISTS",
    "hint": "UPDATE {k}.rooms SET bucket = ? WHERE room = ?",
    "rename": "UPDATE {k}.rooms SET log_id = ? WHERE room = ? IF log_id = ?",
    "raise": "UPDATE {k}.rooms SET first_seq = ?, base_n = ? WHERE room = ? IF first_seq = ?",
    # the log: what a conditional batch is made of
    "open": f"UPDATE {{k}}.log SET head = ?, n = ?, start = ?, opened = ? WHERE {_AT} "
    "IF head = null",
    "move": f"UPDATE {{k}}.log SET head = ?, n = ? WHERE {_AT} IF head = ?",
    "hold": f"UPDATE {{k}}.log SET head = ? WHERE {_AT} IF head = ?",
    "event": "INSERT INTO {k}.log (room, bucket, kind, seq, cid, meta, content) "
    "VALUES (?, ?, ?, ?, 0x, ?, ?)",
    "event_bare": "INSERT INTO {k}.log (room, bucket, kind, seq, cid, meta) "
    "VALUES (?, ?, ?, ?, 0x, ?)",
    "event_gone": "INSERT INTO {k}.log (room, bucket, kind, seq, cid, meta, gone) "
    "VALUES (?, ?, ?, ?, 0x, ?, ?)",
    "event_content": f"UPDATE {{k}}.log USING TTL ? SET content = ? WHERE {_AT} AND kind = ? "
    "AND seq = ? AND cid = 0x",
    "claim": "INSERT INTO {k}.log (room, bucket, kind, seq, cid, meta) VALUES (?, ?, 1, 0, ?, ?) "
    "IF NOT EXISTS",
    "blank": f"UPDATE {{k}}.log SET content = null, gone = ? WHERE {_AT} AND kind = ? "
    "AND seq = ? AND cid = 0x IF gone = null AND meta != null",
    "errand_row": "INSERT INTO {k}.log (room, bucket, kind, seq, cid, meta) "
    "VALUES (?, ?, 3, 0, ?, ?)",
    "drop_errand_row": f"DELETE FROM {{k}}.log WHERE {_AT} AND kind = 3 AND seq = 0 AND cid = ? "
    "IF EXISTS",
    "drop_rows": f"DELETE FROM {{k}}.log WHERE {_AT} AND kind = ? AND seq < ?",
    "drop_claim": f"DELETE FROM {{k}}.log WHERE {_AT} AND kind = 1 AND seq = 0 AND cid = ?",
    # the log: reads
    "head": f"SELECT head, n, start, opened FROM {{k}}.log WHERE {_AT} LIMIT 1",
    "range": f"SELECT {_ROW} FROM {{k}}.log WHERE {_AT} AND kind IN (0, 2) AND seq >= ? "
    "AND seq <= ?",
    "some": f"SELECT {_ROW} FROM {{k}}.log WHERE {_AT} AND kind IN (0, 2) AND seq IN ?",
    "messages": f"SELECT {_ROW} FROM {{k}}.log WHERE {_AT} AND kind = 0 AND seq >= ? AND seq <= ? "
    "LIMIT ?",
    "messages_back": f"SELECT {_ROW} FROM {{k}}.log WHERE {_AT} AND kind = 0 AND seq >= ? "
    "AND seq <= ? ORDER BY kind DESC, seq DESC LIMIT ?",
    "count_others": f"SELECT count(*) FROM {{k}}.log WHERE {_AT} AND kind = 2 AND seq >= ? "
    "AND seq <= ?",
    "claims": f"SELECT cid, meta FROM {{k}}.log WHERE {_AT} AND kind = 1 AND seq = 0 AND cid IN ?",
    "all_claims": f"SELECT cid, meta FROM {{k}}.log WHERE {_AT} AND kind = 1 AND seq = 0",
    "errand": f"SELECT meta FROM {{k}}.log WHERE {_AT} AND kind = 3 AND seq = 0 AND cid = ?",
    # beside the log
    "target": "INSERT INTO {k}.targets (room, chunk, target_seq, type, seq) VALUES (?, ?, ?, ?, ?)",
    "targeting": "SELECT seq FROM {k}.targets WHERE room = ? AND chunk = ? AND target_seq = ? "
    "AND type = ?",
    "hour": "INSERT INTO {k}.hours (name, hour) VALUES (?, ?)",
    "hours": "SELECT hour FROM {k}.hours WHERE name = ? AND hour <= ?",
    "expiry": "INSERT INTO {k}.expiries (hour, expires_at, room, seq) VALUES (?, ?, ?, ?)",
    "expiries": "SELECT expires_at, room, seq FROM {k}.expiries WHERE hour = ? AND expires_at <= ? "
    "LIMIT ?",
    "drop_expiry": "DELETE FROM {k}.expiries WHERE hour = ? AND expires_at = ? AND room = ? "
    "AND seq = ?",
    "active": "INSERT INTO {k}.activity (hour, room, bucket, seq) VALUES (?, ?, ?, ?)",
    "activity": "SELECT room, bucket, seq FROM {k}.activity WHERE hour = ?",
    "drop_activity": "DELETE FROM {k}.activity WHERE hour = ? AND room = ? AND bucket = ? "
    "AND seq = ?",
    "note_errand": "INSERT INTO {k}.errands (shard, id, room, bucket, at) VALUES (0, ?, ?, ?, ?)",
    "errands": "SELECT id, room, bucket, at FROM {k}.errands WHERE shard = 0 LIMIT 200",
    "drop_errand": "DELETE FROM {k}.errands WHERE shard = 0 AND id = ?",
    "check": "INSERT INTO {k}.hours (name, hour) VALUES ('check', 0)",
}


def in_keyspace(statements: dict[str, str], keyspace: str) -> dict[str, str]:
    return {name: text.format(k=keyspace) for name, text in statements.items()}
