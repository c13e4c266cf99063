"""Who waits for room in a journal: as many go on as there is room for, in turn, and no turn is lost."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mcpc.mailbox import Mailbox
from mcpc.server.pressure import Pressure
from mcpc.server.reader import Reader

pytestmark = pytest.mark.anyio

LOG = 4


class FullLog:
    """A log that is full of messages which its reader is still to be sent."""

    def __init__(self, stall_timeout: float = 60.0) -> None:
        self.mailbox = Mailbox(max_messages=LOG)
        self.reader: Reader | None = Reader(0)
        self.pressure = Pressure(self, stall_timeout)
        self.posted: list[str] = []
        for _ in range(LOG):
            self.mailbox.append(b"1")

    async def send(self, name: str) -> None:
        await self.pressure.room_for(1)
        self.mailbox.append(b"1")
        self.posted.append(name)

    def read(self, count: int) -> None:
        assert self.reader is not None
        self.reader.cursor += count
        self.pressure.made_room()


@asynccontextmanager
async def senders(log: FullLog, names: str) -> AsyncGenerator[dict[str, anyio.CancelScope]]:
    """One sender for each letter, all waiting, in that order."""
    scopes: dict[str, anyio.CancelScope] = {}

    def sender(name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def main() -> None:
            with scopes.setdefault(name, anyio.CancelScope()):
                await log.send(name)

        return main

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for count, name in enumerate(names, 1):
                group.start_soon(sender(name))
                while len(log.pressure.waiting) < count:
                    await anyio.lowlevel.checkpoint()
            yield scopes
            group.cancel_scope.cancel()


async def settled(log: FullLog, count: int) -> None:
    """Until as many have posted; then nobody else does, however often they get a turn of the loop."""
    while len(log.posted) < count:
        await anyio.lowlevel.checkpoint()
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("read", [1, 2, 3])
async def test_as_many_senders_go_on_as_messages_were_read_those_who_came_first(read: int) -> None:
    log = FullLog()
    async with senders(log, "abcd"):
        log.read(read)
        await settled(log, read)
        assert sorted(log.posted) == list("abcd"[:read])  # those whose turn it is run in the loop's order
        assert len(log.pressure.waiting) == 4 - read


async def test_the_turn_of_a_sender_that_is_cancelled_goes_to_the_next() -> None:
    log = FullLog()
    async with senders(log, "ab") as scopes:
        scopes["a"].cancel()
        log.read(1)  # the turn is a's, who will not use it
        await settled(log, 1)
        assert log.posted == ["b"]


async def test_a_sender_that_is_cancelled_without_a_turn_gives_none_away() -> None:
    log = FullLog()
    async with senders(log, "ab") as scopes:
        scopes["a"].cancel()
        await settled(log, 0)
        assert log.posted == []
        assert len(log.pressure.waiting) == 1


async def test_a_reader_that_takes_nothing_for_long_enough_holds_nobody_back_until_it_reads() -> None:
    log = FullLog(stall_timeout=0)
    assert log.reader is not None
    with anyio.fail_after(60):
        await log.send("a")
    assert log.reader.stalled
    assert not log.pressure.must_wait(1)
    log.reader.sent(more=True)
    assert log.pressure.must_wait(1)


@pytest.mark.parametrize("why", ["gone", "ended"])
async def test_nobody_waits_for_a_reader_that_is_not_there(why: str) -> None:
    log = FullLog()
    async with senders(log, "ab"):
        assert log.reader is not None
        if why == "gone":
            log.reader = None
        else:
            log.reader.end()
        log.pressure.give_all()
        await settled(log, 2)
        assert sorted(log.posted) == ["a", "b"]


async def test_who_comes_while_others_wait_waits_behind_them_though_there_is_room() -> None:
    log = FullLog()
    async with senders(log, "a"):
        assert log.reader is not None
        log.reader.cursor = LOG  # read, and nobody was told yet
        async with anyio.create_task_group() as group:
            group.start_soon(log.send, "late")
            while len(log.pressure.waiting) < 2:
                await anyio.lowlevel.checkpoint()
            assert log.posted == []
            log.pressure.made_room()
        await settled(log, 2)
        assert sorted(log.posted) == ["a", "late"]


async def test_whoever_is_cancelled_leaves_the_others_in_their_order() -> None:
    log = FullLog()
    async with senders(log, "abcde") as scopes:
        for left, name in ((4, "c"), (3, "a")):
            scopes[name].cancel()
            while len(log.pressure.waiting) > left:
                await anyio.lowlevel.checkpoint()
        for count in (1, 2, 3):
            log.read(1)
            await settled(log, count)
    assert log.posted == ["b", "d", "e"]
