"""Calls without media: who rings, who is in, who told whom what; tickets for TURN."""
