"""The stores of `memory:` addresses: all is kept in this process. For tests, and as the model of a store.

`memory:name` is one store for all who open it in this process, and lives as long
as the process; `memory:` alone is a new one each time. A server that is given no
store does not use this one: its logs are mailboxes, and cost nothing more.
"""

import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

import anyio
from anyio.lowlevel import checkpoint

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
)
from mcpc.transport import URI
from mcpc_stores.memory.data import Data
from mcpc_stores.memory.log import Channels
from mcpc_stores.memory.tasks import Tasks

__all__ = ["MemoryStore", "MemoryStores"]

FIRST_LEASE = 15.0
"""Seconds that a runner has before its first `beat`."""
MAX_BELLS = 1000
"""Bells that wait for a slow reader; beyond it they become one: `look`."""


class MemoryStores:
    """Serves `memory:`."""

    def __init__(self) -> None:
        self._named: dict[str, Data] = {}

    def open(self, uri: URI, /, *, limits: StoreLimits) -> AbstractAsyncContextManager["MemoryStore"]:
        """A handle of the store of that name: one for all who open it in this process. Without a name, a new one."""
        name = uri.rest.strip("/")
        return self._open(self._named.setdefault(name, Data()) if name else Data(), limits)

    @asynccontextmanager
    async def _open(self, data: Data, limits: StoreLimits) -> AsyncGenerator["MemoryStore"]:
        store = MemoryStore(data, limits)
        await checkpoint()
        try:
            yield store
        finally:
            store.close()


class MemoryStore:
    """A handle of a store in memory; see `mcpc.store.Store` for its methods.

    Each method does its work between two turns of the event loop, so it is one step.

    Args:
        data: What is kept.
        limits: The bounds.
        clock: Gives the time, in seconds; nobody sets it.
    """

    shared = False

    def __init__(self, data: Data, limits: StoreLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._data = data
        self._clock = clock
        self._handle = secrets.token_hex(8)
        self._bells: deque[Change] = deque()
        self._rung = anyio.Event()
        self._channels = Channels(data, limits, clock)
        self._tasks = Tasks(data, self._channels, limits, clock, self._ring)
        data.handles[self._handle] = self._hear

    def close(self) -> None:
        """Tasks that this handle's runners held are orphans from now on."""
        del self._data.handles[self._handle]

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
        await checkpoint()
        return self._channels.open(
            channel, principal=principal, session=session, listener=listener, after=after, epoch=epoch
        )

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
        await checkpoint()
        self._channels.leave(channel, listener)

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        """See `Store.append`."""
        await checkpoint()
        return [self._tasks.append(entry) for entry in batch]

    async def read(self, channel: str, after: int, *, max_messages: int, max_bytes: int) -> Page | None:
        """See `Store.read`."""
        await checkpoint()
        return self._channels.read(channel, after, max_messages=max_messages, max_bytes=max_bytes)

    async def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        """See `Store.sent`."""
        await checkpoint()
        self._channels.sent(listener, cursors)

    async def channels(self, session: str) -> list[str]:
        """See `Store.channels`."""
        await checkpoint()
        return self._channels.of_session(session)

    # --- tasks ---

    async def enter(self, task: NewTask, *, runner: str | None) -> Entered:
        """See `Store.enter`."""
        await checkpoint()
        if runner is not None:
            self._seen(runner)
        return self._tasks.enter(task, runner=runner)

    async def task(self, task_id: str) -> StoredTask | None:
        """See `Store.task`."""
        await checkpoint()
        found = self._data.tasks.get(task_id)
        return None if found is None else found.stored

    async def tasks(self, channel: str, *, limit: int = 1000) -> list[StoredTask]:
        """See `Store.tasks`."""
        await checkpoint()
        return [task.stored for task in self._data.tasks.values() if task.stored.channel == channel][-limit:]

    async def keyed(self, channel: str, key: str) -> StoredTask | None:
        """See `Store.keyed`."""
        await checkpoint()
        task_id = self._data.keys.get((channel, key))
        return None if task_id is None else self._data.tasks[task_id].stored

    async def signal(self, task_id: str, signal: Signal) -> int:
        """See `Store.signal`."""
        await checkpoint()
        return self._tasks.signal(task_id, signal)

    async def signals(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        """See `Store.signals`."""
        await checkpoint()
        return self._tasks.signals(heard)

    async def claim(self, runner: str, tools: Collection[str]) -> tuple[Claim, StoredTask] | None:
        """See `Store.claim`."""
        await checkpoint()
        self._seen(runner)
        return self._tasks.claim(runner, tools)

    async def take(self, runner: str, task_id: str) -> tuple[Claim, StoredTask] | None:
        """See `Store.take`."""
        await checkpoint()
        self._seen(runner)
        return self._tasks.take(runner, task_id)

    async def release(self, claim: Claim, *, handed: bool = False) -> None:
        """See `Store.release`."""
        await checkpoint()
        self._tasks.release(claim, handed=handed)

    # --- who is alive ---

    async def beat(self, runner: str, ttl: float, claims: Collection[Claim]) -> set[str]:
        """See `Store.beat`."""
        await checkpoint()
        self._beat(runner, ttl)
        return self._tasks.held(runner, claims)

    def _beat(self, runner: str, ttl: float) -> None:
        _, expires = self._data.runners.get(runner, ("", 0.0))
        self._data.runners[runner] = self._handle, max(expires, self._clock() + ttl)

    def _seen(self, runner: str) -> None:
        """A runner takes a task: one without a lease gets its first."""
        if self._data.runners.get(runner, ("", 0.0))[1] <= self._clock():
            self._beat(runner, FIRST_LEASE)

    async def reap(self) -> list[StoredTask]:
        """See `Store.reap`."""
        await checkpoint()
        runners, now = self._data.runners, self._clock()
        for runner, (handle, expires) in list(runners.items()):
            if expires <= now or handle not in self._data.handles:
                del runners[runner]
        for channel in self._data.channels.values():
            if channel.listener not in runners:
                channel.listener = None
        return self._tasks.orphans()

    async def sweep(self) -> Counts:
        """See `Store.sweep`."""
        await checkpoint()
        tasks = self._tasks.sweep()
        return Counts(channels=self._channels.sweep(), tasks=tasks)

    # --- bells ---

    def _ring(self, kind: Literal["channel", "task", "signal"], subject: str) -> None:
        for handle, hear in self._data.handles.items():
            if handle != self._handle:
                hear(Change(kind, subject))

    def _hear(self, change: Change) -> None:
        """Another handle has done something."""
        if len(self._bells) >= MAX_BELLS:
            self._bells.clear()
            change = Change("look")
        if change not in self._bells:
            self._bells.append(change)
        self._rung.set()

    async def changes(self) -> AsyncIterator[Change]:
        """See `Store.changes`."""
        yield Change("look")
        while True:
            while self._bells:
                yield self._bells.popleft()
            self._rung = anyio.Event()
            await self._rung.wait()
