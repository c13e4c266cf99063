"""The built-in transports: one file a family, found through the entry-point group `mcpc.transports`."""
