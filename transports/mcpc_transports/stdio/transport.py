"""`stdio:command arg …` runs a server and speaks to it over pipes; `stdio:` alone serves our own stdin and stdout.

The command becomes an argument list by shlex and never meets a shell. What a program
prints among its messages is handed on, for the core to skip. Needs POSIX: process groups, and pipes that can be
polled.
"""

import os
import shlex
import threading
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import anyio
from mcp.client.stdio import get_default_environment

from mcpc.errors import ChannelBroken, ChannelEnded, ListenFailed, URIError
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
from mcpc_transports.lines import LineChannel
from mcpc_transports.polled import PolledStream
from mcpc_transports.stdio.child import STDERR, Child, Spawn, has_stderr
from mcpc_transports.stdio.stdout import Printed
from mcpc_transports.stdio.takeover import take_over

__all__ = ["StdioTransport"]

TERMINATE_TIMEOUT = 2.0
"""Seconds that a server has to leave by itself, and as many after SIGTERM; the default of `terminate_timeout`."""

_in_use = threading.Lock()
"""Held by the one listener there can be in a process."""


class _HasFileno(Protocol):
    """An open file."""

    def fileno(self) -> int: ...


class StdioTransport:
    """Serves `stdio:`."""

    traits: Traits = Traits(
        heartbeat=True,
        redialled=False,
        guarded=True,
        spawns=True,
        example=examples.STDIO,
        named=("stdio",),
        place="{scheme}:",
    )

    def connect(
        self,
        uri: URI,
        /,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        errlog: _HasFileno | int | None = STDERR,
        terminate_timeout: float = TERMINATE_TIMEOUT,
        max_message_size: int = DEFAULT_MAX_ANSWER_SIZE,
    ) -> AbstractAsyncContextManager[FrameChannel]:
        """Run the server that `uri` names; stop it when the context ends.

        It is stopped as the specification asks (2025-11-25, basic/lifecycle, shutdown): its stdin is closed, and if it
        does not leave in time it gets SIGTERM and then SIGKILL, and so do the descendants in its process group.

        Args:
            uri: `stdio:command arg …`, quoted as for a shell.
            env: Variables set for the server, over the few that the SDK lets through (PATH, HOME, …).
            cwd: The directory it runs in.
            errlog: Where its stderr is passed on to: an open file or its descriptor, None to discard. Default: our
                stderr. The last lines of it are in the error where the server dies, whatever this is.
            terminate_timeout: Seconds that each step of stopping it may take.
            max_message_size: Bytes of the largest message accepted.
        """
        spawn = Spawn(_arguments(uri), {**get_default_environment(), **(env or {})}, cwd, _errlog(errlog))
        return self._connect(spawn, max_message_size, terminate_timeout)

    @asynccontextmanager
    async def _connect(self, spawn: "Spawn", max_message_size: int, timeout: float) -> AsyncGenerator[FrameChannel]:
        child = await spawn.start()
        channel = _ChildChannel(child, max_message_size)
        try:
            yield channel
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()
                await child.stop(timeout)

    def listen(
        self, uri: URI, endpoint: Endpoint, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve one connection: this process's stdin and stdout.

        Meanwhile what the program itself prints goes to stderr, and what it reads from stdin is empty. The listener's
        `finished` is set when the connection has ended.
        """
        if uri.rest:
            raise URIError("to serve this process's own stdin and stdout the address is `stdio:` and nothing else")
        return self._listen(endpoint, max_message_size)

    @asynccontextmanager
    async def _listen(self, endpoint: Endpoint, max_message_size: int) -> AsyncGenerator["_Serving"]:
        if not _in_use.acquire(blocking=False):
            raise ListenFailed("stdio: is already served in this process")
        failure: Exception | None = None
        with ExitStack() as stack:
            stack.callback(_in_use.release)
            channel = _OwnChannel(PolledStream(*take_over(stack)), max_message_size)
            serving = _Serving(channel.finished)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serving.serve, endpoint, channel)
                try:
                    yield serving
                except Exception as exc:  # raised below, outside the task group, which would wrap it
                    failure = exc
                finally:
                    tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure


def _arguments(uri: URI) -> list[str]:
    if uri.rest.startswith("//"):
        raise URIError("a stdio: address takes no slashes before the command: stdio:command arg …")
    try:
        arguments = shlex.split(uri.rest)
    except ValueError as exc:
        raise URIError(f"the command of this stdio: address cannot be read: {exc}") from None
    if not arguments or not arguments[0]:
        raise URIError("a stdio: address to connect to needs a command: stdio:command arg …")
    return arguments


def _errlog(errlog: _HasFileno | int | None) -> int | None:
    """The descriptor that a server's stderr is passed on to."""
    if errlog is None or (errlog == STDERR and not has_stderr()):
        return None
    try:
        descriptor = errlog if isinstance(errlog, int) else errlog.fileno()
        os.fstat(descriptor)
    except (OSError, ValueError) as exc:
        raise URIError("errlog has to be an open file of the system, its descriptor, or None") from exc
    return descriptor


READER_FIRST = 3.0
"""Seconds that a writer to a server that has ended leaves to the reader."""


class _ChildChannel(LineChannel):
    """A channel to a server that we run: where it ends, it says how the server did."""

    def __init__(self, child: Child, max_message_size: int) -> None:
        super().__init__(child, max_message_size)
        self._child = child
        self._how = ""
        self._told = anyio.Event()
        """Set when a reader has been told of the end."""
        self._printed = Printed(max_message_size)
        self._read: deque[bytes] = deque()
        """What came in one line, or in many, and is still to be handed on."""

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`."""
        while not self._read:
            self._read.extend(self._printed.read(await self._line()))
        return self._read.popleft()

    async def _line(self) -> bytes:
        try:
            return await super().receive()
        except (ChannelEnded, ChannelBroken) as exc:
            self._how = self._how or await self._child.ending()
            self._told.set()
            raise type(exc)(self._how or str(exc)) from exc

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. Where the server has ended the reader is told first: it knows how."""
        try:
            await super().send(*frames)
        except ChannelBroken:
            with anyio.move_on_after(READER_FIRST):
                await self._told.wait()
            raise

    def send_nowait(self, *frames: bytes) -> bool:
        """See `ImmediateChannel.send_nowait`. That the server has ended, `send` says."""
        try:
            return super().send_nowait(*frames)
        except ChannelBroken:
            return False


class _OwnChannel(LineChannel):
    """A channel over our own stdin and stdout. It may be closed though what serves it is not over yet."""

    def __init__(self, stream: PolledStream, max_message_size: int) -> None:
        super().__init__(stream, max_message_size)
        self.finished = anyio.Event()
        """Set when it is closed."""

    async def aclose(self) -> None:
        """See `FrameChannel.aclose`."""
        await super().aclose()
        self.finished.set()


@dataclass
class _Serving:
    """This process's stdin and stdout being served."""

    finished: anyio.Event
    """Set when the connection has ended."""
    uri: str = "stdio:"

    async def serve(self, endpoint: Endpoint, channel: LineChannel) -> None:
        """Serve the one connection until it ends."""
        try:
            await endpoint.serve_channel(channel, Peer(address="stdio"))
        finally:
            await channel.aclose()
