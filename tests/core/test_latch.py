"""A latch is to those who wait for it what an event is."""

import anyio
import pytest

from mcpc.latch import Latch

pytestmark = pytest.mark.anyio

DEADLINE = 60


async def test_all_who_wait_go_on_once_it_is_set() -> None:
    latch, gone_on = Latch(), list[int]()

    async def wait(number: int) -> None:
        await latch.wait()
        gone_on.append(number)

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, 1)
            group.start_soon(wait, 2)
            await anyio.wait_all_tasks_blocked()
            assert (latch.is_set(), gone_on) == (False, [])
            latch.set()
    assert sorted(gone_on) == [1, 2]


async def test_one_that_is_set_keeps_nobody() -> None:
    latch = Latch()
    latch.set()
    latch.set()
    with anyio.fail_after(DEADLINE):
        await latch.wait()
    assert latch.is_set()


async def test_to_wait_for_one_that_is_set_lets_others_have_a_turn_and_can_be_cancelled() -> None:
    latch = Latch()
    latch.set()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await latch.wait()
    assert scope.cancelled_caught


async def test_who_is_cancelled_while_waiting_leaves_the_others_waiting() -> None:
    latch, gone_on = Latch(), list[str]()
    impatient = anyio.CancelScope()

    async def wait(scope: anyio.CancelScope, name: str) -> None:
        with scope:
            await latch.wait()
            gone_on.append(name)

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, impatient, "impatient")
            group.start_soon(wait, anyio.CancelScope(), "patient")
            await anyio.wait_all_tasks_blocked()
            impatient.cancel()
            await anyio.wait_all_tasks_blocked()
            latch.set()
    assert gone_on == ["patient"]
