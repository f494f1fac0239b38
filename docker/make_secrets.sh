#!/bin/sh
# Makes each password that is not there yet. The folder is root's alone; the files are readable, for
# each container runs as another user and sees only those that compose.yaml gives it.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 0700 secrets
for name in postgres_password redis_password s3_secret_key; do
    [ -s "secrets/$name" ] && continue
    head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"secrets/$name"
    chmod 0644 "secrets/$name"
done
