"""Bytes in and out: the listening port, WebSocket frames, long-polling. Thin shells around
`server.hub.engineio`.
"""
