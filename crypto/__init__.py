"""Passwords and tokens: pure, on libsodium and argon2."""
