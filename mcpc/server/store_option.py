"""Which store a server has: as it was told, or by the environment."""

import os
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcpc.later import later
from mcpc.server.keeper import Source
from mcpc.server.limits import Limits

if TYPE_CHECKING:
    from mcpc import store_uri, stored
    from mcpc.store import Store
else:  # most servers have no store
    store_uri, stored = later("mcpc.store_uri"), later("mcpc.stored")

__all__ = ["SHARED", "STORE_VARIABLE", "StoreAt", "address_of", "source_of", "store_limits"]

STORE_VARIABLE = "MCPC_STORE"
"""The environment variable that names the store of servers that were told none."""
SHARED = "MCPCHelper(server, store=…), MCPC_STORE or --store, with sqlite:///… or redis://…"
"""How to have a store that several processes use."""


def store_limits(limits: Limits) -> "stored.StoreLimits":
    """The bounds of a server, as its store keeps to them."""
    return stored.StoreLimits(
        max_channels=limits.max_channels,
        max_messages=limits.max_messages,
        max_bytes=limits.max_bytes,
        max_kept=limits.max_ended_tasks,
        max_tasks_per_channel=limits.max_tasks_per_client or limits.max_tasks,
        max_tasks_per_principal=limits.max_tasks_per_client,
        max_queued=limits.max_queued,
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
    # An address that cannot be used is told of here, not when the server is served.
    store_uri.open_store(uri, limits=bounds)
    return StoreAt(uri, bounds)


def address_of(source: Source | None) -> str | None:
    """The address of the store that is opened; None where there is none, or it has no address."""
    return source.uri if isinstance(source, StoreAt) else None


@dataclass(frozen=True)
class StoreAt:
    """Opens the store at an address: equal for two helpers of one server."""

    uri: str
    limits: "stored.StoreLimits"

    def __call__(self) -> AbstractAsyncContextManager["Store"]:
        """A handle of it."""
        return store_uri.open_store(self.uri, limits=self.limits)
