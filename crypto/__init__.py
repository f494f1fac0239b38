"""Passwords and tokens: pure, on libsodium and argon2. No I/O, no clock; a failure changes nothing.

No secret is ever part of an error text.
"""
