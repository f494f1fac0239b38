"""Chat over many nodes: what one of them stored, the sockets of all hear, in order and nothing
missing.

The log is what counts: frames between nodes may be lost, doubled or late, and each node makes the
rest good from the log. `stream` orders, `rooms` follows, `outlet` tells, `dirty` and `rounds` look
for what nobody told.
"""
