"""Serves the routes that the parts declare, the web page, health, metrics and OpenAPI."""
