"""What Hubbub is measured beside: the hub that everybody writes first, and Node's socket.io."""
