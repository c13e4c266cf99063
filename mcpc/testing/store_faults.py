"""A store that fails on purpose: for tests of whatever must survive that.

It wraps another store. What goes wrong is set on the `FaultyStore` at any time, and
holds for all its handles from the next call on. At a named step a test may do
whatever it likes, such as killing its process.
"""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, Literal, get_args

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import StoreFull, StoreUnavailable
from mcpc.store import Store, StoreKind
from mcpc.store_uri import resolve_store
from mcpc.stored import (
    Change,
    ChannelState,
    Claim,
    Counts,
    Entered,
    Entry,
    Fenced,
    NewTask,
    Page,
    Place,
    Receipt,
    Signal,
    StoredTask,
    StoreLimits,
)
from mcpc.transport import URI

__all__ = ["STEPS", "FaultyStore", "Step"]

Step = Literal[
    "before append", "after append", "receipt", "checkpoint", "end", "enter", "before signal", "signal", "claim", "reap"
]
STEPS: tuple[Step, ...] = get_args(Step)
"""Where a test may stop: before an append has begun; after it has landed and before that is known; when the receipts
are looked at; the same as `after append` for a batch with a checkpoint, or an end; after a task was entered, signalled
to or claimed, or orphans were looked after, and before that is known; before a signal is kept."""


class FaultyStore:
    """A store whose handles fail as they are told.

    `mcpc.register_store("faulty", FaultyStore("sqlite"))` makes `faulty:path` open `sqlite:path`.

    Args:
        inner: The scheme of the store to wrap, or what serves it.
        seed: The same seed brings the same faults.
        at: What to call at each of these steps; see `STEPS`.

    Attributes:
        down: Every call raises `StoreUnavailable`, and nothing happens.
        full: Every `append` and `enter` raises `StoreFull`, and nothing happens.
        lost_replies: The probability, 0 to 1, that an `append` lands and raises `StoreUnavailable` all the same.
        delay: Seconds that each call takes longer.
        fenced: Tasks whose entries are answered with `Fenced`, and do not land.
        lost_bells: The probability, 0 to 1, that a bell is not heard.
        calls: How often each method was called.
    """

    open: Callable[..., AbstractAsyncContextManager[Store]]
    """Open the inner store; takes its options."""

    def __init__(
        self, inner: str | StoreKind, *, seed: int = 0, at: Mapping[Step, Callable[[], None]] | None = None
    ) -> None:
        self._scheme = inner if isinstance(inner, str) else None
        self._inner = resolve_store(inner) if isinstance(inner, str) else inner
        self._random = random.Random(seed)
        self._at = dict(at or {})
        self.down = False
        self.full = False
        self.lost_replies: float = 0.0
        self.delay: float = 0.0
        self.fenced: set[str] = set()
        self.lost_bells: float = 0.0
        self.calls: dict[str, int] = {}

        @wraps(self._inner.open)  # whoever looks at the options must see those of the inner store
        def opened(uri: URI, /, *, limits: StoreLimits, **options: Any) -> AbstractAsyncContextManager[Store]:
            return self._open(uri, limits, options)

        self.open = opened

    @asynccontextmanager
    async def _open(self, uri: URI, limits: StoreLimits, options: dict[str, Any]) -> AsyncGenerator[Store]:
        inner = uri if self._scheme is None else replace(uri, scheme=self._scheme)
        async with self._inner.open(inner, limits=limits, **options) as store:
            yield _Faulty(store, self)

    def reach(self, step: Step) -> None:
        """A step was reached."""
        if (action := self._at.get(step)) is not None:
            action()

    def happens(self, probability: float) -> bool:
        """Whether something of that probability happens now."""
        return probability > 0 and self._random.random() < probability

    async def call(self, method: str) -> None:
        """A call comes in.

        Raises:
            StoreUnavailable, StoreFull: it goes no further.
        """
        self.calls[method] = self.calls.get(method, 0) + 1
        await (anyio.sleep(self.delay) if self.delay else checkpoint())
        if self.down:
            raise StoreUnavailable("the store is down on purpose")
        if self.full and method in ("append", "enter"):
            raise StoreFull("the store is full on purpose")


class _Receipts(list[Receipt]):
    """Receipts that tell when somebody looks at them."""

    def __init__(self, receipts: Sequence[Receipt], plan: FaultyStore) -> None:
        super().__init__(receipts)
        self._plan = plan

    def __iter__(self) -> Iterator[Receipt]:
        self._plan.reach("receipt")
        return super().__iter__()


class _Faulty:
    """A handle; see `mcpc.store.Store`."""

    def __init__(self, inner: Store, plan: FaultyStore) -> None:
        self._inner = inner
        self._plan = plan

    @property
    def shared(self) -> bool:
        return self._inner.shared

    @property
    def limits(self) -> StoreLimits:
        return self._inner.limits

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        plan = self._plan
        await plan.call("append")
        plan.reach("before append")
        barred = [entry.claim is not None and entry.claim.task_id in plan.fenced for entry in batch]
        landed = iter(
            await self._inner.append([e for e, is_barred in zip(batch, barred, strict=True) if not is_barred])
        )
        receipts = [Fenced() if is_barred else next(landed) for is_barred in barred]
        plan.reach("after append")
        if any(entry.checkpoint is not None for entry in batch):
            plan.reach("checkpoint")
        if any(entry.end is not None for entry in batch):
            plan.reach("end")
        if plan.happens(plan.lost_replies):
            raise StoreUnavailable("the reply was lost on purpose")
        return _Receipts(receipts, plan)

    async def enter(self, task: NewTask, *, runner: str | None) -> Entered:
        await self._plan.call("enter")
        entered = await self._inner.enter(task, runner=runner)
        self._plan.reach("enter")
        return entered

    async def claim(self, runner: str, tools: Collection[str]) -> tuple[Claim, StoredTask] | None:
        await self._plan.call("claim")
        claimed = await self._inner.claim(runner, tools)
        if claimed is not None:
            self._plan.reach("claim")
        return claimed

    async def changes(self) -> AsyncIterator[Change]:
        async for change in self._inner.changes():
            if not self._plan.happens(self._plan.lost_bells):
                yield change

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
        await self._plan.call("open")
        return await self._inner.open(
            channel, principal=principal, session=session, listener=listener, after=after, epoch=epoch
        )

    async def listen(self, listener: str, places: Mapping[str, Place]) -> dict[str, ChannelState | None]:
        await self._plan.call("listen")
        return await self._inner.listen(listener, places)

    async def leave(self, channel: str, listener: str) -> None:
        await self._plan.call("leave")
        await self._inner.leave(channel, listener)

    async def read(self, channel: str, after: int, *, max_messages: int, max_bytes: int) -> Page | None:
        await self._plan.call("read")
        return await self._inner.read(channel, after, max_messages=max_messages, max_bytes=max_bytes)

    async def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        await self._plan.call("sent")
        await self._inner.sent(listener, cursors)

    async def channels(self, session: str) -> list[str]:
        await self._plan.call("channels")
        return await self._inner.channels(session)

    async def task(self, task_id: str) -> StoredTask | None:
        await self._plan.call("task")
        return await self._inner.task(task_id)

    async def tasks(self, channel: str, *, limit: int = 1000) -> list[StoredTask]:
        await self._plan.call("tasks")
        return await self._inner.tasks(channel, limit=limit)

    async def keyed(self, channel: str, key: str) -> StoredTask | None:
        await self._plan.call("keyed")
        return await self._inner.keyed(channel, key)

    async def signal(self, task_id: str, signal: Signal) -> int:
        await self._plan.call("signal")
        self._plan.reach("before signal")
        number = await self._inner.signal(task_id, signal)
        self._plan.reach("signal")
        return number

    async def signals(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        await self._plan.call("signals")
        return await self._inner.signals(heard)

    async def beat(self, runner: str, ttl: float, claims: Collection[Claim]) -> set[str]:
        await self._plan.call("beat")
        return await self._inner.beat(runner, ttl, claims)

    async def take(self, runner: str, task_id: str) -> tuple[Claim, StoredTask] | None:
        await self._plan.call("take")
        return await self._inner.take(runner, task_id)

    async def release(self, claim: Claim, *, handed: bool = False) -> None:
        await self._plan.call("release")
        await self._inner.release(claim, handed=handed)

    async def reap(self) -> list[StoredTask]:
        await self._plan.call("reap")
        reaped = await self._inner.reap()
        self._plan.reach("reap")
        return reaped

    async def sweep(self) -> Counts:
        await self._plan.call("sweep")
        return await self._inner.sweep()
