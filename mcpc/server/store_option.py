"""Which store a server has: as it was told, or by the environment."""

import os
from functools import cache

from mcpc.server.keeper import Source
from mcpc.server.limits import Limits
from mcpc.store_uri import open_store
from mcpc.stored import StoreLimits

__all__ = ["STORE_VARIABLE", "source_of", "store_limits"]

STORE_VARIABLE = "MCPC_STORE"
"""The environment variable that names the store of servers that were told none."""


def store_limits(limits: Limits) -> StoreLimits:
    """The bounds of a server, as its store keeps to them."""
    return StoreLimits(
        max_channels=limits.max_channels,
        max_messages=limits.max_messages,
        max_bytes=limits.max_bytes,
        max_kept=limits.max_ended_tasks,
        max_tasks_per_channel=limits.max_tasks,
        max_ended_tasks=limits.max_ended_tasks,
        max_inputs=limits.max_inputs,
        task_ttl=limits.task_ttl,
        channel_ttl=limits.channel_ttl,
    )


def source_of(store: str | Source | None, limits: Limits) -> Source | None:
    """What opens the store of a server; None where it has none.

    Args:
        store: An address, or what opens a store; by default what the environment says.
        limits: The bounds of the server.

    Raises:
        URIError: the address or an option cannot be used.
    """
    if callable(store):
        return store
    uri = os.environ.get(STORE_VARIABLE, "") if store is None else store
    if not uri:
        return None
    bounds = store_limits(limits)
    open_store(uri, limits=bounds)  # an address that cannot be used is told of here, not when the server is served
    return _opener(uri, bounds)


@cache
def _opener(uri: str, limits: StoreLimits) -> Source:
    """What opens that store: the same for two helpers of one server."""
    return lambda: open_store(uri, limits=limits)
