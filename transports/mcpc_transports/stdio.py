"""`stdio:command arg …` runs a server and speaks to it over pipes; `stdio:` alone serves our own stdin and stdout.

The command becomes an argument list by shlex and never meets a shell. The pipes
are driven here, not by the event loop's subprocess streams: an exit is then told
from the end of a pipe that a descendant may still hold, on every loop alike. What
the lines say is not known here; junk between them is the core's to skip.

Needs POSIX: process groups, and pipes that can be polled.
"""

import fcntl
import logging
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint
from mcp.client.stdio import get_default_environment

from mcpc.errors import ConnectFailed, ListenFailed, URIError
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE, URI, Endpoint, FrameChannel, Listener, Peer
from mcpc_transports._lines import LineChannel
from mcpc_transports._polled import CHUNK, PolledStream

__all__ = ["StdioTransport"]

logger = logging.getLogger("mcpc")

TERMINATE_TIMEOUT = 2.0
"""Seconds that a server has to leave by itself, and as many after SIGTERM; the default of `terminate_timeout`."""

KILL_TIMEOUT = 2.0
"""Seconds to see a killed process end. Only one that hangs in the kernel takes them all."""

POLL = 0.01
"""Seconds between two looks at a process group: nothing tells when one is empty."""

PIPE_SIZE = 256 * 1024
"""Bytes that a server's pipe holds, where the system lets us choose: several batches, so that both sides can work."""

STDERR = 2

_in_use = threading.Lock()
"""Held by the one listener there can be in a process."""


class _HasFileno(Protocol):
    """An open file."""

    def fileno(self) -> int: ...


class StdioTransport:
    """Serves `stdio:`."""

    def connect(
        self,
        uri: URI,
        /,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        errlog: _HasFileno | int | None = STDERR,
        terminate_timeout: float = TERMINATE_TIMEOUT,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    ) -> AbstractAsyncContextManager[FrameChannel]:
        """Run the server that `uri` names; stop it when the context ends.

        It is stopped as the specification asks (2025-11-25, basic/lifecycle, shutdown): its stdin is closed, and if it
        does not leave in time it gets SIGTERM and then SIGKILL, and so do the descendants in its process group.

        Args:
            uri: `stdio:command arg …`, quoted as for a shell.
            env: Variables set for the server, over the few that the SDK lets through (PATH, HOME, …).
            cwd: The directory it runs in.
            errlog: Where its stderr goes: an open file or its descriptor, None to discard. Default: to our stderr.
            terminate_timeout: Seconds that each step of stopping it may take.
            max_message_size: Bytes of the largest message accepted.
        """
        spawn = _Spawn(_arguments(uri), {**get_default_environment(), **(env or {})}, cwd, _errlog(errlog))
        return self._connect(spawn, max_message_size, terminate_timeout)

    @asynccontextmanager
    async def _connect(self, spawn: "_Spawn", max_message_size: int, timeout: float) -> AsyncGenerator[FrameChannel]:
        child = await spawn.start()
        channel = LineChannel(child, max_message_size)
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
            channel = LineChannel(PolledStream(*_take_over(stack)), max_message_size)
            serving = _Serving()
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


# --- running a server ---


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


def _errlog(errlog: _HasFileno | int | None) -> int:
    """The descriptor for a server's stderr."""
    if errlog is None or (errlog == STDERR and not _has_stderr()):
        return subprocess.DEVNULL
    try:
        descriptor = errlog if isinstance(errlog, int) else errlog.fileno()
        os.fstat(descriptor)
    except (OSError, ValueError) as exc:
        raise URIError("errlog has to be an open file of the system, its descriptor, or None") from exc
    return descriptor


def _has_stderr() -> bool:
    """A process may be started without one; its number is then that of some other file before long."""
    return sys.__stderr__ is not None


@dataclass
class _Spawn:
    """How to start a server."""

    arguments: list[str]
    environment: dict[str, str]
    cwd: str | os.PathLike[str] | None
    stderr: int

    async def start(self) -> "_Child":
        """Start it.

        Raises:
            ConnectFailed: it cannot be started.
        """
        with ExitStack() as theirs, ExitStack() as ours:
            stdin, writer = _pipe(theirs, ours)
            reader, stdout = _pipe(ours, theirs)
            with self._starting():
                process = await anyio.open_process(
                    self.arguments,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=self.stderr,
                    env=self.environment,
                    cwd=self.cwd,
                    start_new_session=True,
                )
            ours.pop_all()
        return _Child(process, reader, writer)

    @contextmanager
    def _starting(self) -> Generator[None]:
        """The system's errors as `ConnectFailed`. Only the command is named: its arguments may be secret.

        Shielded: a cancelled start would leave nobody to stop what was started. It takes as long as fork and exec.
        """
        command = self.arguments[0]
        try:
            with anyio.CancelScope(shield=True):
                yield
        except (FileNotFoundError, NotADirectoryError) as exc:
            if self.cwd is not None and not os.path.isdir(self.cwd):
                raise ConnectFailed(f"cannot run {command!r}: {os.fspath(self.cwd)!r} is not a directory") from exc
            raise ConnectFailed(f"cannot run {command!r}: there is no such command") from exc
        except PermissionError as exc:
            raise ConnectFailed(f"cannot run {command!r}: it is not executable, or cwd cannot be entered") from exc
        except (OSError, ValueError) as exc:
            raise ConnectFailed(f"cannot run {command!r}: {getattr(exc, 'strerror', None) or exc}") from exc


def _pipe(reads: ExitStack, writes: ExitStack) -> tuple[int, int]:
    """A pipe; the stacks close its ends."""
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more than this user may have
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    reads.callback(os.close, reader)
    writes.callback(os.close, writer)
    return reader, writer


class _Child(PolledStream):
    """A running server: its stdout to read, its stdin to write. Closing ends only its stdin; then `stop` it."""

    def __init__(self, process: anyio.abc.Process, reader: int, writer: int) -> None:
        super().__init__(reader, writer)
        self._process = process
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

    async def _release(self) -> None:
        os.close(self._writer)

    async def stop(self, timeout: float) -> None:
        """See it and its descendants end; it must be closed. Takes at most two timeouts and `KILL_TIMEOUT`."""
        async with anyio.create_task_group() as tasks:
            # What it still writes is dropped, so that it does not wait for a reader instead of leaving.
            tasks.start_soon(self._drain)
            await self._escalate(timeout)
            tasks.cancel_scope.cancel()
        os.close(self._reader)

    async def _escalate(self, timeout: float) -> None:
        if await self._exited(timeout) and not self._group_lives():
            return
        self._signal(signal.SIGTERM)
        if await self._group_gone(timeout):
            return
        self._signal(signal.SIGKILL)
        if not await self._exited(KILL_TIMEOUT):
            logger.warning(
                "process %d does not end although it was killed; it is left to the system", self._process.pid
            )

    async def _drain(self) -> None:
        with suppress(OSError):
            while True:
                try:
                    if not os.read(self._reader, CHUNK):
                        return
                    await checkpoint()
                except BlockingIOError:
                    await anyio.wait_readable(self._reader)

    async def _exited(self, timeout: float) -> bool:
        with anyio.move_on_after(timeout):
            await self._process.wait()
        return self._process.returncode is not None

    async def _group_gone(self, timeout: float) -> bool:
        with anyio.move_on_after(timeout):
            await self._process.wait()
            while self._group_lives():  # noqa: ASYNC110 - nothing tells when it is empty
                await anyio.sleep(POLL)
            return True
        return False

    def _group_lives(self) -> bool:
        return self._signal(0)

    def _signal(self, signum: int) -> bool:
        """Signal all that the server started and that stayed in its process group; False where nobody did."""
        try:
            os.killpg(self._process.pid, signum)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # somebody is there who became another user
        return True


# --- serving our own stdin and stdout ---


@dataclass
class _Serving:
    """This process's stdin and stdout being served."""

    uri: str = "stdio:"
    finished: anyio.Event = field(default_factory=anyio.Event)
    """Set when the connection has ended."""

    async def serve(self, endpoint: Endpoint, channel: LineChannel) -> None:
        """Serve the one connection until it ends."""
        try:
            await endpoint.serve_channel(channel, Peer(address="stdio"))
        finally:
            await channel.aclose()
            self.finished.set()


def _take_over(stack: ExitStack) -> tuple[int, int]:
    """Private descriptors of stdin and stdout, non-blocking; 0 and 1 point elsewhere until the stack is unwound.

    Raises:
        ListenFailed: the process has no stdin or no stdout. (Started without, their numbers are other files by now:
            the event loop's, say. Python knows.)
    """
    if sys.__stdin__ is None or sys.__stdout__ is None:
        raise ListenFailed("cannot serve stdio: this process was started without stdin or stdout")
    try:
        saved_in, saved_out = _saved(0, stack), _saved(1, stack)
    except OSError as exc:
        raise ListenFailed("cannot serve stdio: this process has closed its stdin or stdout") from exc
    with ExitStack() as wire:
        reader = _private(saved_in, os.O_RDONLY, stack)
        wire.callback(os.close, reader)
        writer = _private(saved_out, os.O_WRONLY, stack)
        wire.callback(os.close, writer)
        _divert(0, os.open(os.devnull, os.O_RDONLY), saved_in, stack)
        _divert(1, _stray_output(), saved_out, stack)
        wire.pop_all()
    # What waits in sys.stdout's buffer has to leave now, and again before the wire comes back.
    _flush_stdout()
    stack.callback(_flush_stdout)
    return reader, writer


def _saved(number: int, stack: ExitStack) -> int:
    saved = _duplicate(number)
    stack.callback(os.close, saved)
    return saved


def _duplicate(descriptor: int) -> int:
    """A duplicate that is none of the standard three, even where one of those is closed."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, STDERR + 1)


def _private(saved: int, flags: int, stack: ExitStack) -> int:
    """A non-blocking descriptor of the same file.

    Whether a file blocks is a property of what is open, not of the descriptor, so it is shared: with the shell on a
    terminal, with stderr after `2>&1`. Pipes and terminals are therefore opened anew. What cannot be is made to block
    again when the stack is unwound. Files on disk never block, and opening them anew would lose the position.
    """
    mode = os.fstat(saved).st_mode
    if stat.S_ISREG(mode):
        return _duplicate(saved)
    if stat.S_ISFIFO(mode) or os.isatty(saved):
        with suppress(OSError):
            return _open_anew(saved, flags)
    if os.get_blocking(saved):
        os.set_blocking(saved, False)
        stack.callback(os.set_blocking, saved, True)
    return _duplicate(saved)


def _open_anew(descriptor: int, flags: int) -> int:
    opened = os.open(f"/proc/self/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return _duplicate(opened)
    finally:
        os.close(opened)


def _divert(number: int, descriptor: int, saved: int, stack: ExitStack) -> None:
    """Point a standard descriptor elsewhere until the stack is unwound."""
    stack.callback(os.dup2, saved, number)
    os.dup2(descriptor, number)
    os.close(descriptor)


def _stray_output() -> int:
    """Where prints go while we serve: to stderr, unless that is the wire too or there is none."""
    with suppress(OSError):
        if _has_stderr() and (os.isatty(STDERR) or not os.path.samestat(os.fstat(1), os.fstat(STDERR))):
            return os.dup(STDERR)
    return os.open(os.devnull, os.O_WRONLY)


def _flush_stdout() -> None:
    with suppress(AttributeError, OSError, ValueError):  # there may be none, or it may be closed
        sys.stdout.flush()
