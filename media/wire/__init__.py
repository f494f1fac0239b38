"""Wire formats of media: bytes to values and back. What the network sends never raises here."""
