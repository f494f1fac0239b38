"""Engine.IO 4 without I/O: packets, sessions, deadlines, and the sockets that the hub holds.

`api.py` is what the layer above uses; `server.hub.transport` carries the bytes.
"""
