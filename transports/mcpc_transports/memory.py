"""`memory://name`: a listener of that name in this process. Real bytes, no sockets.

For tests and for embedding: the same server and client as over a socket, with
nothing to clean up. Works on any event loop, but both ends must share one.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
import anyio.abc

from mcpc.errors import ConnectFailed, ListenFailed, URIError
from mcpc.pair import DEFAULT_BUFFER, MemoryChannel, memory_pair
from mcpc.transport import (
    DEFAULT_MAX_ANSWER_SIZE,
    DEFAULT_MAX_MESSAGE_SIZE,
    URI,
    Endpoint,
    FrameChannel,
    Listener,
    Peer,
    Traits,
)
from mcpc_transports import examples

__all__ = ["MemoryTransport"]


@dataclass
class _Serving:
    """One name being served."""

    uri: str
    endpoint: Endpoint
    tasks: anyio.abc.TaskGroup
    max_message_size: int


class MemoryTransport:
    """Serves `memory://`."""

    traits: Traits = Traits(
        redialled=False, guarded=True, in_process=True, example=examples.MEMORY, place="{scheme}://mcpc"
    )

    def __init__(self) -> None:
        self._serving: dict[str, _Serving] = {}

    def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_ANSWER_SIZE, buffer: int = DEFAULT_BUFFER
    ) -> AbstractAsyncContextManager[FrameChannel]:
        """Connect to the listener named in `uri`."""
        return self._connect(_name(uri), max_message_size, buffer)

    @asynccontextmanager
    async def _connect(self, name: str, max_message_size: int, buffer: int) -> AsyncGenerator[MemoryChannel]:
        serving = self._serving.get(name)
        if serving is None:
            raise ConnectFailed(f"nobody listens at memory://{name} in this process")
        ours, theirs = memory_pair(
            buffer=buffer, max_message_size=serving.max_message_size, max_answer_size=max_message_size
        )
        serving.tasks.start_soon(serving.endpoint.serve_channel, theirs, Peer(address=f"memory://{name}"))
        try:
            yield ours
        finally:
            await ours.aclose()

    def listen(
        self, uri: URI, endpoint: Endpoint, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve the name in `uri`."""
        return self._listen(_name(uri), endpoint, max_message_size)

    @asynccontextmanager
    async def _listen(self, name: str, endpoint: Endpoint, max_message_size: int) -> AsyncGenerator[_Serving]:
        if name in self._serving:
            raise ListenFailed(f"memory://{name} is already served in this process")
        async with anyio.create_task_group() as tasks:
            serving = _Serving(f"memory://{name}", endpoint, tasks, max_message_size)
            self._serving[name] = serving
            try:
                yield serving
            finally:
                del self._serving[name]
                tasks.cancel_scope.cancel()


def _name(uri: URI) -> str:
    name = uri.authority + uri.path
    if not name:
        raise URIError("a memory: address needs a name: memory://name")
    return name
