"""Serving a listening socket: an accept loop that does not die, and a channel for each connection.

What `unix:` and `tcp:` share. It knows nothing of URIs or of what the frames say.
"""

import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc

from mcpc.errors import ListenFailed
from mcpc.transport import Endpoint, Peer
from mcpc_transports.accepting import accept_forever
from mcpc_transports.lines import LineChannel

if sys.platform != "win32":
    pass
from mcpc_transports.sockets.connection import SocketBytes, tune

__all__ = ["BACKLOG", "Serving", "binding", "run"]

BACKLOG = 128
"""Connections that may wait to be accepted."""


@contextmanager
def binding(where: str) -> Generator[None]:
    """The system's errors as `ListenFailed`."""
    try:
        yield
    except ListenFailed:
        raise
    except FileNotFoundError as exc:
        raise ListenFailed(f"cannot serve {where}: there is no such directory") from exc
    except (socket.gaierror, UnicodeError) as exc:
        raise ListenFailed(f"cannot serve {where}: its host cannot be found") from exc
    except OSError as exc:
        raise ListenFailed(f"cannot serve {where}: {exc.strerror or exc}") from exc


@dataclass
class Serving:
    """One address being served."""

    uri: str
    sock: socket.socket
    endpoint: Endpoint
    max_message_size: int
    name_peer: Callable[[Any], str]

    async def accept_forever(self, tasks: anyio.abc.TaskGroup) -> None:
        """Serve each connection in a task of its own; no failed accept ends this."""

        def take(sock: socket.socket, address: Any) -> None:
            tasks.start_soon(self.serve, sock, Peer(address=self.name_peer(address)))

        with self.sock:
            await accept_forever(self.sock, self.uri, take)

    async def serve(self, sock: socket.socket, peer: Peer) -> None:
        """Serve one connection until it ends."""
        tune(sock)
        channel = LineChannel(SocketBytes(sock), self.max_message_size, objects_only=True)
        try:
            await self.endpoint.serve_channel(channel, peer)
        finally:
            await channel.aclose()


@asynccontextmanager
async def run(serving: Serving, retire: Callable[[], None]) -> AsyncGenerator[Serving]:
    """Accept for as long as the context lasts; call `retire` while the socket still listens."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serving.accept_forever, tasks)
        try:
            yield serving
        except Exception as exc:  # raised below, outside the task group, which would wrap it
            failure = exc
        finally:
            retire()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
