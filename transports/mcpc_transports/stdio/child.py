"""A server that we run: started without a shell, spoken to over pipes, and stopped step by step.

The pipes are driven here, not by the event loop's subprocess streams: an exit is
then told from the end of a pipe that a descendant may still hold, on every loop
alike. What the lines say is not known here.
"""

import fcntl
import logging
import os
import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from mcpc.errors import ConnectFailed
from mcpc.logs import logger_of
from mcpc_transports.polled import CHUNK, PolledStream
from mcpc_transports.stdio.stderr import Stderr

__all__ = ["Child", "Spawn", "has_stderr"]

logger: logging.Logger = logger_of(__name__)

KILL_TIMEOUT = 2.0
"""Seconds to see a killed process end. Only one that hangs in the kernel takes them all."""

EXIT_TIMEOUT = 2.0
"""Seconds from the end of a server's stdout to its own, where somebody wants to know how that was."""

POLL = 0.01
"""Seconds between two looks at a process group: nothing tells when one is empty."""

PIPE_SIZE = 256 * 1024
"""Bytes that a server's pipe holds, where the system lets us choose: several batches, so that both sides can work."""

STDERR = 2


def has_stderr() -> bool:
    """A process may be started without one; its number is then that of some other file before long."""
    return sys.__stderr__ is not None


@dataclass
class Spawn:
    """How to start a server."""

    arguments: list[str]
    environment: dict[str, str]
    cwd: str | os.PathLike[str] | None
    errlog: int | None
    """Where its stderr is passed on to."""

    async def start(self) -> "Child":
        """Start it.

        Raises:
            ConnectFailed: it cannot be started.
        """
        with ExitStack() as theirs, ExitStack() as ours:
            stdin, writer = _pipe(theirs, ours)
            reader, stdout = _pipe(ours, theirs)
            errors, stderr = _pipe(ours, theirs)
            with self._starting():
                process = await anyio.open_process(
                    self.arguments,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    env=self.environment,
                    cwd=self.cwd,
                    start_new_session=True,
                )
            ours.pop_all()
        return Child(process, reader, writer, Stderr(errors, self.errlog))

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


class Child(PolledStream):
    """A running server: its stdout to read, its stdin to write. Closing ends only its stdin; then `stop` it."""

    def __init__(self, process: anyio.abc.Process, reader: int, writer: int, stderr: Stderr) -> None:
        super().__init__(reader, writer)
        self._stderr = stderr
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
        await self._stderr.end()

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

    async def ending(self) -> str:
        """How it ended, in words, once its stdout has: its exit status, and the last it wrote to its stderr.

        Empty while it runs.
        """
        if not await self._exited(EXIT_TIMEOUT):
            return ""
        code = self._process.returncode or 0
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code} ({signal.strsignal(-code)})"
        said = self._stderr.last_lines()
        return f"the server ended {how}" + (f"; the last it wrote to stderr:\n{said}" if said else "")

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
