"""`sqlite:///path`: a store in one file, for a server that goes on after a restart, and several of one machine."""

from mcpc_stores.sqlite.store import SqliteStore, SqliteStores

__all__ = ["SqliteStore", "SqliteStores"]
