"""The stores of `sqlite:` addresses. What one holds survives its processes; several of one machine may share it.

SQLite is the standard library's. Each handle has one connection, which one thread
at a time uses: a call is one transaction, and an `append` of many entries one,
too. The file is in WAL mode, so readers and the writer do not wait for each other.

Who is alive is told by file locks and by the machine's steady clock. Times to
live go by a clock of the file's own (`clock`): they survive a reboot, and a jump of
the wall clock neither ends nor prolongs any.
"""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from mcpc.errors import StoreError, URIError
from mcpc.stored import (
    Change,
    ChannelState,
    Claim,
    Counts,
    Entered,
    Entry,
    NewTask,
    Page,
    Place,
    Receipt,
    Signal,
    StoredTask,
    StoreLimits,
    StoreReport,
)
from mcpc.transport import URI
from mcpc_stores.sqlite.file import SqliteFile, Sync
from mcpc_stores.sqlite.inspecting import inspect_file
from mcpc_stores.sqlite.log import Channels
from mcpc_stores.sqlite.paths import path_of
from mcpc_stores.sqlite.presence import Bells, Presence
from mcpc_stores.sqlite.signals import Signals
from mcpc_stores.sqlite.tasks import Tasks

__all__ = ["SqliteStore", "SqliteStores"]

SWEEP_CHUNK = 1000
"""Rows of a kind that one sweep lets go of at the most, so that nobody waits for long."""
POLL = 0.01
"""Seconds between looks for what other handles did, while there are any."""
POLL_ALONE = 1.0
"""The same while there are none."""

LONGEST_TIMEOUT = 3600.0
"""Seconds of the longest `busy_timeout`: meanwhile nothing else is done with the file."""

T = TypeVar("T")


class SqliteStores:
    """Serves `sqlite:`."""

    def open(
        self,
        uri: URI,
        /,
        *,
        limits: StoreLimits,
        sync: Sync = "normal",
        busy_timeout: float = 1.0,
        max_size: int = 0,
        clock: Callable[[], float] | None = None,
    ) -> AbstractAsyncContextManager["SqliteStore"]:
        """A handle of the store in a file, which is made where there is none.

        Args:
            uri: `sqlite:///absolute/path` or `sqlite:relative/path`.
            limits: The bounds.
            sync: `normal` survives the death of any process; `full` a power cut, too: each append waits for the disk.
            busy_timeout: Seconds to wait for another program's lock on the file before `StoreUnavailable`.
            max_size: Bytes that the file may have; 0 for no bound.
            clock: Gives the time, in seconds since the epoch, in place of the file's own clock.

        Raises:
            URIError: the address names no file, its folder does not exist, or an option is out of range.
        """
        path = _path_of(uri, sync)
        if not 0 <= busy_timeout <= LONGEST_TIMEOUT:
            raise URIError(f"sqlite: busy_timeout is a number of seconds up to {LONGEST_TIMEOUT:g}, not {busy_timeout}")
        if max_size < 0:
            raise URIError(f"sqlite: max_size is a number of bytes, or 0 for no bound, not {max_size}")
        return _opened(lambda: SqliteFile(path, sync, busy_timeout, max_size, clock), limits)

    async def inspect(self, uri: URI, /, *, limits: StoreLimits, sync: Sync = "normal", **options: Any) -> StoreReport:
        """What the store in a file is like; takes what `open` takes, and makes no file.

        Raises:
            URIError, StoreError: it cannot be read.
        """
        path = _path_of(uri, sync)
        return await anyio.to_thread.run_sync(inspect_file, path, sync)


def _path_of(uri: URI, sync: str) -> Path:
    if sync not in ("normal", "full"):
        raise URIError(f"sqlite: sync is `normal` or `full`, not {sync!r}")
    return path_of(uri)


@asynccontextmanager
async def _opened(make: Callable[[], SqliteFile], limits: StoreLimits) -> AsyncGenerator["SqliteStore"]:
    store = await anyio.to_thread.run_sync(lambda: SqliteStore(make(), limits))
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.aclose()


class SqliteStore:
    """A handle of a store in one file; see `mcpc.store.Store` for its methods.

    Args:
        file: The file, opened.
        limits: The bounds.
    """

    shared = True

    def __init__(self, file: SqliteFile, limits: StoreLimits) -> None:
        self.limits = limits
        self._file = file
        self._one_thread = anyio.CapacityLimiter(1)
        handle = secrets.token_hex(8)
        try:
            self._presence = Presence(file.db, file.path, handle)
            self._bells = Bells(file.db, handle, self._presence)
            self._channels = Channels(file.db, limits)
            self._signals = Signals(file.db, limits)
            self._tasks = Tasks(file.db, self._channels, limits, self._bells.ring)
            file.transact(self._presence.enter)
        except BaseException:
            file.close()
            raise

    async def aclose(self) -> None:
        """Close the file. Tasks that this handle's runners held are orphans from now on."""
        await anyio.to_thread.run_sync(self._close, limiter=self._one_thread)

    def _close(self) -> None:
        with suppress(StoreError):
            self._file.transact(self._presence.leave)
        self._file.close()
        self._presence.release()

    async def _do(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in a transaction, in the file's thread. Once begun it is not cancelled."""

        def run() -> T:
            self._bells.hush()
            result = function(*args)
            self._bells.write()
            return result

        return await anyio.to_thread.run_sync(self._file.transact, run, limiter=self._one_thread)

    async def _look(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function`, which only reads, in the file's thread."""
        return await anyio.to_thread.run_sync(self._file.look, function, *args, limiter=self._one_thread)

    async def changes(self) -> AsyncIterator[Change]:
        """See `Store.changes`."""
        last = await self._look(self._bells.last)
        version = await self._look(self._file.data_version)
        yield Change("look")
        while True:
            await anyio.sleep(POLL if self._presence.others else POLL_ALONE)
            seen, version = version, await self._look(self._file.data_version)
            if version != seen:
                changes, last = await self._look(self._bells.after, last)
                for change in changes:
                    yield change

    # --- channels and logs ---

    async def open(
        self,
        channel: str,
        *,
        principal: str | None,
        session: str | None = None,
        listener: str | None = None,
        after: int = 0,
        epoch: str | None = None,
    ) -> ChannelState | None:
        """See `Store.open`."""

        def opened() -> ChannelState | None:
            return self._channels.open(
                channel,
                self._file.now(),
                principal=principal,
                session=session,
                listener=listener,
                after=after,
                epoch=epoch,
            )

        return await self._do(opened)

    async def listen(self, listener: str, places: Mapping[str, Place]) -> dict[str, ChannelState | None]:
        """See `Store.listen`."""
        return {
            channel: await self.open(
                channel, principal=place.principal, listener=listener, after=place.after, epoch=place.epoch
            )
            for channel, place in places.items()
        }

    async def leave(self, channel: str, listener: str) -> None:
        """See `Store.leave`."""
        await self._do(lambda: self._channels.leave(channel, listener, self._file.now()))

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        """See `Store.append`. The whole batch is one transaction."""

        def appended() -> list[Receipt]:
            now = self._file.now()
            return [self._tasks.append(entry, now) for entry in batch]

        return await self._do(appended)

    async def read(self, channel: str, after: int, *, max_messages: int, max_bytes: int) -> Page | None:
        """See `Store.read`."""
        return await self._look(lambda: self._channels.read(channel, after, max_messages, max_bytes, self._file.now()))

    async def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        """See `Store.sent`."""
        await self._do(lambda: self._channels.sent(listener, cursors, self._file.now()))

    async def channels(self, session: str) -> list[str]:
        """See `Store.channels`."""
        return await self._look(self._channels.of_session, session)

    # --- tasks ---

    async def enter(self, task: NewTask, *, runner: str | None) -> Entered:
        """See `Store.enter`."""

        def entered() -> Entered:
            if runner is not None:
                self._presence.seen(runner)
            return self._tasks.enter(task, runner, self._file.now())

        return await self._do(entered)

    async def task(self, task_id: str) -> StoredTask | None:
        """See `Store.task`."""
        return await self._look(self._tasks.find, task_id)

    async def tasks(self, channel: str, *, limit: int = 1000) -> list[StoredTask]:
        """See `Store.tasks`."""
        return await self._look(self._tasks.of, channel, limit)

    async def keyed(self, channel: str, key: str) -> StoredTask | None:
        """See `Store.keyed`."""
        return await self._look(self._tasks.keyed, channel, key)

    async def signal(self, task_id: str, signal: Signal) -> int:
        """See `Store.signal`."""

        def signalled() -> int:
            self._bells.ring("signal", task_id)
            return self._signals.add(task_id, signal)

        return await self._do(signalled)

    async def signals(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        """See `Store.signals`."""
        return await self._look(self._signals.after, heard)

    async def claim(self, runner: str, tools: Collection[str]) -> tuple[Claim, StoredTask] | None:
        """See `Store.claim`."""

        def claimed() -> tuple[Claim, StoredTask] | None:
            self._presence.seen(runner)
            return self._tasks.claim(runner, tools, self._file.now())

        return await self._do(claimed)

    async def take(self, runner: str, task_id: str) -> tuple[Claim, StoredTask] | None:
        """See `Store.take`."""

        def taken() -> tuple[Claim, StoredTask] | None:
            self._presence.seen(runner)
            return self._tasks.take(runner, task_id, self._file.now())

        return await self._do(taken)

    async def release(self, claim: Claim, *, handed: bool = False) -> None:
        """See `Store.release`."""
        await self._do(lambda: self._tasks.release(claim, self._file.now(), handed=handed))

    async def beat(self, runner: str, ttl: float, claims: Collection[Claim]) -> set[str]:
        """See `Store.beat`."""

        def beaten() -> set[str]:
            self._presence.beat(runner, ttl)
            return self._tasks.held(runner, claims)

        return await self._do(beaten)

    # --- what is gone ---

    async def reap(self) -> list[StoredTask]:
        """See `Store.reap`."""
        return await self._do(lambda: self._tasks.orphans_of(self._presence.bury(), self._file.now()))

    async def sweep(self) -> Counts:
        """See `Store.sweep`. Bounded: what is left over goes with the next ones."""

        def swept() -> Counts:
            now = self._file.now()
            tasks = self._tasks.sweep(now, SWEEP_CHUNK)
            self._signals.sweep()
            self._bells.sweep()
            return Counts(channels=self._channels.sweep(now, SWEEP_CHUNK), tasks=tasks)

        counts = await self._do(swept)
        await anyio.to_thread.run_sync(self._file.tidy, SWEEP_CHUNK, limiter=self._one_thread)
        return counts
