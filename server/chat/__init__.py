"""Rooms and what is said in them: send, edits, reactions, members, receipts, history, sync."""
