"""Who is at the other end of a WebSocket connection, and that the connection ends with the token that opened it.

The same for our own listener and for one of somebody else's server. The tasks that were started over the connection go
on: they are the principal's, who may come back with another token.
"""

import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
from mcp.server.auth.provider import AccessToken, principal_components

from mcpc.clock import SYSTEM_CLOCK, Clock
from mcpc.transport import Peer
from mcpc_transports.tokens import EXPIRED, POLICY_VIOLATION, lifetime
from mcpc_transports.websocket.channel import background

__all__ = ["Closable", "ending_with_token", "peer_of"]


class Closable(Protocol):
    """A connection that can be closed with a reason."""

    async def close(self, code: int, reason: str) -> None:
        """Close it, and say why."""
        ...


def peer_of(access: AccessToken | None, headers: Mapping[str, str], address: str) -> Peer:
    """A client that was let in."""
    principal = None if access is None else principal_components(access)
    return Peer(principal, address, access, headers)


@asynccontextmanager
async def ending_with_token(
    channel: Closable, access: AccessToken | None, clock: Clock = SYSTEM_CLOCK
) -> AsyncGenerator[None]:
    """Close `channel` once its token has expired, for as long as the context lasts."""
    seconds = lifetime(access, clock)
    if seconds == math.inf:
        yield
        return
    async with background() as tasks:
        tasks.start_soon(_close_after, channel, seconds)
        yield


async def _close_after(channel: Closable, seconds: float) -> None:
    await anyio.sleep(seconds)
    await channel.close(POLICY_VIOLATION, EXPIRED)
