"""The hub: sockets of clients, from the bytes of Engine.IO up to dispatch and fan-out."""
