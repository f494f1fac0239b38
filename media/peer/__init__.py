"""The other end of a connection: a peer that calls the media port and tells which step fails."""
