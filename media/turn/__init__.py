"""STUN and TURN server (RFC 8489, RFC 8656) without I/O: `server.TurnServer` is the way in."""
