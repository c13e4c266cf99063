"""`memory:name`: a store in this process, for tests, and as the model of what a store does."""

from mcpc_stores.memory.store import MemoryStore, MemoryStores

__all__ = ["MemoryStore", "MemoryStores"]
