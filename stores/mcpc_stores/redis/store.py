"""A handle of a store in Redis: its log, its tasks and its bells as one. See `mcpc.store.Store` for the methods."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from mcpc.errors import DuplicateTask, StoreRefused, TooManyTasks
from mcpc.stored import (
    Appended,
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
from mcpc_stores.redis.bells import Bells
from mcpc_stores.redis.engine import Engine
from mcpc_stores.redis.keys import Keys
from mcpc_stores.redis.log import RedisLog
from mcpc_stores.redis.runners import RedisRunners
from mcpc_stores.redis.shares import RedisShares
from mcpc_stores.redis.tasks import RedisTasks
from mcpc_stores.refusals import queue_full

__all__ = ["RedisStore"]

WAIT_TIMEOUT = 1000
"""Milliseconds to wait for replicas."""
NOTHING_ENTERED = (DuplicateTask, StoreRefused, TooManyTasks)
"""What says for sure that a task was not entered. Any other failure may have come after it was."""


class RedisStore:
    """A handle of a store in Redis.

    Args:
        engine: The connected client.
        keys: The names.
        limits: The bounds.
        bells: What other processes ring.
        wait: Replicas that must have an end or a checkpoint before it is acknowledged, if they answer in a second.
    """

    shared = True

    def __init__(self, engine: Engine, keys: Keys, limits: StoreLimits, bells: Bells, wait: int) -> None:
        self.limits = limits
        self._engine = engine
        self._bells = bells
        self._wait = wait
        self._log = RedisLog(engine, keys, limits, bells.names)
        self._tasks = RedisTasks(engine, keys, limits)
        self._running = RedisRunners(engine, keys, limits)
        self._shares = RedisShares(engine, keys, limits)
        self._holders: dict[str, str] = {}
        """Who runs the tasks that were claimed through this handle, by id."""
        self._runners: set[str] = set()

    async def close(self) -> None:
        """Tasks that this handle's runners held are orphans from now on."""
        await self._running.bury(self._runners)

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
        if listener is not None:
            self._bells.listen_for(listener)
        return await self._log.open(channel, principal, session, listener, after, epoch)

    async def listen(self, listener: str, places: Mapping[str, Place]) -> dict[str, ChannelState | None]:
        """See `Store.listen`."""
        self._bells.listen_for(listener)
        return await self._log.listen(listener, places)

    async def leave(self, channel: str, listener: str) -> None:
        """See `Store.leave`."""
        await self._log.leave(channel, listener)

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        """See `Store.append`."""
        is_dear = any(entry.end is not None or entry.checkpoint is not None for entry in batch)
        receipts = await self._log.append(batch, (self._wait, WAIT_TIMEOUT) if self._wait and is_dear else None)
        landed = [entry for entry, receipt in zip(batch, receipts, strict=True) if isinstance(receipt, Appended)]
        ended = [entry.claim for entry in landed if entry.end is not None and entry.claim is not None]
        if ended:
            await self._running.note_ends([(claim.channel, claim.task_id) for claim in ended], self._holders)
            for claim in ended:
                self._holders.pop(claim.task_id, None)
        return receipts

    async def read(self, channel: str, after: int, *, max_messages: int, max_bytes: int) -> Page | None:
        """See `Store.read`."""
        return await self._log.read(channel, after, max_messages, max_bytes)

    async def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        """See `Store.sent`."""
        await self._log.sent(listener, cursors)

    async def channels(self, session: str) -> list[str]:
        """See `Store.channels`."""
        return await self._log.channels(session)

    # --- tasks ---

    async def enter(self, task: NewTask, *, runner: str | None) -> Entered:
        """See `Store.enter`."""
        try:
            share = await self._shares.take(task)
        except TooManyTasks:
            if (known := await self._tasks.known_start(task)) is not None:
                return known
            raise
        try:
            entered = await (self._enter_queue(task) if runner is None else self._enter(task, runner))
        except NOTHING_ENTERED:
            if share is not None:
                await share.give_back()
            raise
        if share is not None:
            await (share.confirm() if entered.is_new else share.give_back())
        return entered

    async def _enter(self, task: NewTask, runner: str) -> Entered:
        self._note_runner(runner)
        await self._running.hold(runner, task.channel, task.task_id)
        try:
            entered = await self._tasks.enter(task, runner)
        except NOTHING_ENTERED:
            await self._running.let_go(runner, task.channel, task.task_id)
            raise
        if entered.claim is not None:
            self._holders[task.task_id] = runner
        else:
            await self._running.let_go(runner, task.channel, task.task_id)
        return entered

    async def _enter_queue(self, task: NewTask) -> Entered:
        """Twice in the queue: if we die in between it is found. Who looks for work leaves the first place alone."""
        where = task.tool_name, task.channel, task.task_id
        queued = await self._running.queue(*where, self.limits.max_queued)
        if queued == "full":
            if (known := await self._tasks.known_start(task)) is not None:
                return known
            raise queue_full(self.limits.max_queued)
        try:
            entered = await self._tasks.enter(task, None)
        except NOTHING_ENTERED:
            if queued == "placed":  # else it stands there for another task of that id
                await self._running.unqueue(*where)
            raise
        if entered.is_new:
            await self._running.queue(*where)
        elif queued == "placed":
            await self._running.unqueue(*where)
        return entered

    def _note_runner(self, runner: str) -> None:
        self._runners.add(runner)
        self._bells.listen_for(runner)

    async def task(self, task_id: str) -> StoredTask | None:
        """See `Store.task`."""
        return await self._tasks.task(task_id)

    async def tasks(self, channel: str, *, limit: int = 1000) -> list[StoredTask]:
        """See `Store.tasks`."""
        return await self._tasks.tasks(channel, limit)

    async def keyed(self, channel: str, key: str) -> StoredTask | None:
        """See `Store.keyed`."""
        return await self._tasks.keyed(channel, key)

    async def signal(self, task_id: str, signal: Signal) -> int:
        """See `Store.signal`."""
        return await self._tasks.signal(task_id, signal)

    async def signals(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        """See `Store.signals`."""
        return await self._tasks.signals(heard)

    # --- runners ---

    async def claim(self, runner: str, tools: Collection[str]) -> tuple[Claim, StoredTask] | None:
        """See `Store.claim`."""
        self._note_runner(runner)
        claimed = await self._running.claim(runner, tools)
        if claimed is not None:
            self._holders[claimed[0].task_id] = runner
        return claimed

    async def beat(self, runner: str, ttl: float, claims: Collection[Claim]) -> set[str]:
        """See `Store.beat`."""
        self._note_runner(runner)
        mine = await self._running.beat(runner, ttl, claims)
        for claim in claims:
            if claim.task_id not in mine:
                self._holders.pop(claim.task_id, None)
        return mine

    async def take(self, runner: str, task_id: str) -> tuple[Claim, StoredTask] | None:
        """See `Store.take`."""
        self._note_runner(runner)
        stored = await self._tasks.task(task_id)
        if stored is None or stored.status not in ("queued", "handed"):
            return None
        taken = await self._running.take(runner, stored.channel, task_id)
        if taken is not None:
            self._holders[task_id] = runner
        return taken

    async def release(self, claim: Claim, *, handed: bool = False) -> None:
        """See `Store.release`."""
        await self._running.release(claim, handed=handed)
        self._holders.pop(claim.task_id, None)

    async def reap(self) -> list[StoredTask]:
        """See `Store.reap`."""
        return await self._running.reap()

    async def sweep(self) -> Counts:
        """See `Store.sweep`."""
        tasks = await self._running.forget()
        old = await self._log.used_before(self.limits.channel_ttl)
        gone = [name for name in old if await self._log.tidy(name, idle_for=self.limits.channel_ttl)]
        return Counts(channels=len(gone), tasks=tasks)

    def changes(self) -> AsyncIterator[Change]:
        """See `Store.changes`."""
        return self._bells.changes()
