"""Cassandra's own promises, beyond the room log's contract."""
