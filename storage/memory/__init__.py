"""The store without a disk: complete, for tests and for looking at. `open_memory()` makes one."""

from storage.memory.store import MemoryStore, open_memory

__all__ = ["MemoryStore", "open_memory"]
