"""The store without a disk: complete, for tests and for looking at. `open_memory()` makes one, and
`MemoryCluster` is what several nodes in one process share.
"""

from storage.memory.shared import MemoryCluster, MemoryShared
from storage.memory.store import MemoryStore, open_memory

__all__ = ["MemoryCluster", "MemoryShared", "MemoryStore", "open_memory"]
