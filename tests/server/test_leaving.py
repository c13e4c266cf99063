"""Held until cancelled, and left in order."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from mcpc.server.leaving import until_cancelled

pytestmark = pytest.mark.anyio


async def test_who_is_cancelled_waits_for_what_is_put_in_order() -> None:
    told: list[str] = []
    held = anyio.Event()

    async def hold(leaving: anyio.Event) -> None:
        held.set()
        await leaving.wait()
        for step in ("first", "last"):
            await checkpoint()  # would raise, were the leaving cancelled too
            told.append(step)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_cancelled, hold)
            await held.wait()
            tasks.cancel_scope.cancel()
    assert told == ["first", "last"]


async def test_what_ends_by_itself_is_not_waited_for() -> None:
    async def hold(leaving: anyio.Event) -> None:
        assert not leaving.is_set()
        await checkpoint()

    with anyio.fail_after(60):
        await until_cancelled(hold)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_it_raises_is_raised_as_it_is(cancelled: bool) -> None:
    held = anyio.Event()

    async def hold(leaving: anyio.Event) -> None:
        held.set()
        if cancelled:
            await leaving.wait()
        raise KeyError("no")

    async def held_open() -> None:
        with pytest.raises(KeyError, match="no"):
            await until_cancelled(hold)
        ended.set()

    ended = anyio.Event()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(held_open)
            await held.wait()
            if cancelled:
                tasks.cancel_scope.cancel()
    assert ended.is_set()
