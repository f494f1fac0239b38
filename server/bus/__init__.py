"""Facts between the parts and their workers: told at least once, handled until they are done."""
