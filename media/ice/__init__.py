"""ICE for a server (RFC 8445, lite): who may send to us from where. No I/O, no clock."""
