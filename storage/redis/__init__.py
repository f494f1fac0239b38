"""What nodes share, on Redis 7: one server, Sentinels or a Cluster. `open_redis` opens it."""
