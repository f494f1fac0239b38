"""Who is there: many devices make one status, told to those who watch."""
