"""A server joined to a client in this process: served over a pair of channels, at no address."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from mcpc.framing import Connection
from mcpc.pair import MemoryChannel, memory_pair
from mcpc.server.binding import bind
from mcpc.server.direct_requests import DirectRequests
from mcpc.server.serving import ServerEndpoint, held
from mcpc.transport import DEFAULT_MAX_ANSWER_SIZE, DEFAULT_MAX_MESSAGE_SIZE, Peer

__all__ = ["joined"]

WHAT = "the connection of a client in this process"


@asynccontextmanager
async def joined(server: Any, *, byte_true: bool) -> AsyncGenerator[tuple[MemoryChannel, DirectRequests]]:
    """A channel to `server`, which is served at its other end for as long as the context lasts, and a shorter way.

    Leaving ends the server's tasks as leaving `listen` does.

    Args:
        server: The server.
        byte_true: The server takes messages up to the bound that it has elsewhere, and tells it; nobody uses the
            shorter way.

    Raises:
        MCPCError: it is not a server.
    """
    binding = bind(server)
    limit = DEFAULT_MAX_MESSAGE_SIZE if byte_true else None  # what is no message has no size
    endpoint = ServerEndpoint(binding, limit)
    ours, theirs = memory_pair(
        max_message_size=limit or DEFAULT_MAX_ANSWER_SIZE, max_answer_size=DEFAULT_MAX_ANSWER_SIZE
    )
    binding.workshop.duties.serves = True
    async with held(binding.workshop, endpoint.lifespan(), _accepted(endpoint, theirs), WHAT) as requests:
        try:
            yield ours, requests
        finally:
            await ours.aclose()


@asynccontextmanager
async def _accepted(endpoint: ServerEndpoint, channel: MemoryChannel) -> AsyncGenerator[DirectRequests]:
    connection = Connection(channel, side="server", peer=Peer(address="this process"), pending=endpoint.pending())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(endpoint.serve_connection, connection)
        yield DirectRequests(endpoint.server, endpoint.state, connection, channel, tasks)
        tasks.cancel_scope.cancel()
