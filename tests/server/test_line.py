"""What waits for the store on one channel: everybody who waits for it to land, or for room, is told."""

import anyio
import pytest

from mcpc.server.line import Line, Pool
from mcpc.stored import Appended

pytestmark = pytest.mark.anyio


def line(pool: Pool) -> Line:
    return Line("channel", pool, lambda line: None, lambda first, messages, is_end: None, lambda: 0)


async def until_waiting(started: list[str], count: int) -> None:
    while len(started) < count:
        await anyio.lowlevel.checkpoint()
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_everybody_who_waits_for_what_was_said_is_told_when_it_has_landed() -> None:
    one, started, done = line(Pool()), list[str](), list[str]()
    one.put(b"{}")

    async def wait(name: str) -> None:
        started.append(name)
        await one.flushed()
        done.append(name)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for name in ("a", "b", "c"):
                tasks.start_soon(wait, name)
            await until_waiting(started, 3)
            assert one.take() is not None
            one.settle(Appended(1, 0, False))
    assert sorted(done) == ["a", "b", "c"]


async def test_everybody_who_waits_for_room_is_told_when_there_may_be_some() -> None:
    pool, started, done = Pool(), list[str](), list[str]()
    pool.add(1, 1)

    async def wait(name: str) -> None:
        started.append(name)
        await pool.shrinks()
        done.append(name)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for name in ("a", "b", "c"):
                tasks.start_soon(wait, name)
            await until_waiting(started, 3)
            pool.add(-1, -1)
    assert sorted(done) == ["a", "b", "c"]


async def test_a_question_to_the_store_is_an_entry_without_messages() -> None:
    one, told = line(Pool()), list[Appended]()
    one.on_receipt = told.append
    assert one.take() is None
    one.probe()
    entry = one.take()
    assert entry is not None
    assert (entry.messages, entry.seq) == ([], 1)
    one.settle(Appended(7, 3, True))
    assert told == [Appended(7, 3, True)]
    assert one.take() is None
