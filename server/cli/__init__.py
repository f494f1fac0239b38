"""What an operator types: each command loads only what it needs."""
