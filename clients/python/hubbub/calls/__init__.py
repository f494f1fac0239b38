"""Calls: ring, answer, exchange signals (`client.calls`); pictures and sound by `calls.media`."""
