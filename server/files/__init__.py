"""Files that users bring: so far the clearing away of uploads that nobody ended."""
