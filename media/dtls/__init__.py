"""DTLS-SRTP (RFC 5764) by OpenSSL over datagrams that others carry."""
