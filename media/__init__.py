"""Voice, picture and relay: wire formats and rules without I/O, planes that move packets."""
