"""What other processes ring: one pub/sub subscription a handle, kept up, and what was heard until it is read.

A bell may be lost (pub/sub is at most once), so after each new subscription, and every so often, `look` is said: the
truth is what the store says when it is read.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Literal

import anyio

from mcpc.errors import StoreUnavailable
from mcpc.logs import logger_of
from mcpc.stored import Change
from mcpc_stores.redis.engine import Engine, Subscription
from mcpc_stores.redis.keys import Keys

__all__ = ["Bells"]

logger: logging.Logger = logger_of(__name__)

MAX_BELLS = 10_000
"""Bells that wait for a slow reader; beyond it they become one: `look`."""
MAX_BYTES = 16 * 1024 * 1024
"""Bytes of what they brought; beyond it a bell brings nothing."""
RETRY = 0.5
"""Seconds between attempts to subscribe anew."""

_KINDS: dict[bytes, Literal["channel", "task", "signal"]] = {b"c": "channel", b"t": "task", b"s": "signal"}


class Bells:
    """The bells of one handle.

    Args:
        engine: The client.
        keys: The names.
        poll: Seconds after which `look` is said anyway.
    """

    def __init__(self, engine: Engine, keys: Keys, poll: float) -> None:
        self._engine = engine
        self._keys = keys
        self._poll = poll
        self._waiting: dict[Change, Change] = {}
        """By kind and subject, which is what changes are compared by."""
        self._size = 0
        self._came = anyio.Event()
        self.names: set[str] = set()
        """For whom is listened here: the names of this process."""
        self._new: deque[str] = deque()
        self._wanted = anyio.Event()

    def listen_for(self, name: str) -> None:
        """What rings for that process rings here, too."""
        if name not in self.names:
            self.names.add(name)
            self._new.append(name)
            self._wanted.set()

    async def look_for_ever(self) -> None:
        """Say `look` now and then, whatever is heard."""
        while True:
            await anyio.sleep(self._poll)
            self._wake_with(Change("look"))

    async def listen_for_ever(self) -> None:
        """Keep the subscription up."""
        while True:
            try:
                await self._subscription()
            except StoreUnavailable as exc:
                logger.debug("%s", exc)
            self._hear(Change("look"))
            await anyio.sleep(RETRY)

    async def _subscription(self) -> None:
        self._new.clear()
        names = [self._keys.ring, *map(self._keys.inbox, self.names)]
        async with self._engine.subscribed(names) as heard, anyio.create_task_group() as group:
            group.start_soon(self._follow_names, heard)
            async for data in heard:
                for change in _changes(data):
                    self._hear(change)
            group.cancel_scope.cancel()

    async def _follow_names(self, heard: Subscription) -> None:
        while True:
            while self._new:
                await heard.add(self._keys.inbox(self._new.popleft()))
            self._wanted = anyio.Event()
            await self._wanted.wait()

    def _hear(self, change: Change) -> None:
        if change.kind == "look" or len(self._waiting) >= MAX_BELLS:
            self._waiting.clear()
            self._size = 0
            change = Change("look")
        if (waiting := self._waiting.get(change)) is not None:
            self._size -= _size(waiting)
            change = _joined(waiting, change)
        if self._size + _size(change) > MAX_BYTES:
            change = replace(change, messages=())
        self._size += _size(change)
        self._wake_with(change)

    def _wake_with(self, change: Change) -> None:
        self._waiting[change] = change
        self._came.set()

    def changes(self) -> AsyncIterator[Change]:
        """See `Store.changes`."""
        return _Changes(self)

    async def next(self) -> Change:
        """The bell that has waited longest."""
        while not self._waiting:
            self._came = anyio.Event()
            await self._came.wait()
        change = self._waiting.pop(next(iter(self._waiting)))
        self._size -= _size(change)
        return change


class _Changes:
    """Iterates over bells. Not a generator: an `anext` that is cancelled ends nothing."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._looked = False

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        if not self._looked:
            self._looked = True
            return Change("look")
        return await self._bells.next()


def _changes(data: bytes | None) -> list[Change]:
    """What a bell says. At the beginning, and where another release or a stranger has rung: that anything may be."""
    try:
        return [Change("look")] if data is None else _read(data)
    except ValueError:
        logger.debug("a bell of redis makes no sense: %.80r", data)
        return [Change("look")]


def _read(data: bytes) -> list[Change]:
    """See `append.lua`.

    Raises:
        ValueError: it is none of those bells.
    """
    kind, subject = _KINDS.get(data[:1]), data[1:]
    if kind is None:
        raise ValueError("no kind of bell begins so")
    head, _, rest = subject.partition(b"\n")
    if kind != "channel" or b" " not in head:
        return [Change(kind, subject.decode())]
    channel, last, size = head.decode().split(" ")
    task_id, messages = rest[: int(size)].decode(), rest[int(size) :]
    changes = [Change("channel", channel, int(last), messages.split(b"\n") if messages else ())]
    if task_id:
        changes.append(Change("task", task_id, int(last)))
    return changes


def _size(change: Change) -> int:
    return sum(map(len, change.messages))


def _joined(one: Change, two: Change) -> Change:
    """Two bells of one subject as one. What they brought is kept where nothing is missing in between."""
    if not one.last or not two.last:
        return Change(one.kind, one.subject)
    if not one.messages or two.last - len(two.messages) != one.last:
        return two
    return replace(two, messages=[*one.messages, *two.messages])
