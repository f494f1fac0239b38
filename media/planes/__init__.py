"""Planes: who moves packets. Shells around media's cores; sockets live here only."""
