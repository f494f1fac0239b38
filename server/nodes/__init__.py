"""This process among the others of its cluster."""
