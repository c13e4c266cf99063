"""What waits for a worker: in order, bounded, and over once the task shall stop."""

import anyio
import pytest

import mcpc
from mcpc.server.inputs import Inputs

pytestmark = pytest.mark.anyio


async def test_inputs_come_in_order_and_a_worker_waits_for_the_next() -> None:
    inputs = Inputs(10)
    inputs.put(1)
    inputs.put(None)
    taken = [await inputs.next(), await inputs.next()]

    async def take() -> None:
        taken.append(await inputs.next())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            assert len(taken) == 2
            inputs.put("late")
    assert taken == [(1,), (None,), ("late",)]


async def test_as_many_wait_as_may_and_one_more_is_refused() -> None:
    inputs = Inputs(2)
    inputs.put(1)
    inputs.put(2)
    with pytest.raises(mcpc.InputRefused, match="2 inputs wait already"):
        inputs.put(3)
    assert await inputs.next() == (1,)
    inputs.put(3)
    assert [await inputs.next(), await inputs.next()] == [(2,), (3,)]


async def test_once_closed_what_waits_is_still_taken_and_then_it_is_over() -> None:
    inputs = Inputs(10)
    inputs.put(1)
    inputs.close()
    assert [await inputs.next(), await inputs.next()] == [(1,), None]


async def test_who_waits_when_it_closes_waits_no_more() -> None:
    inputs, taken = Inputs(10), list[object]()

    async def take() -> None:
        taken.append(await inputs.next())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            inputs.close()
    assert taken == [None]


async def test_once_cleared_nothing_is_left() -> None:
    inputs = Inputs(10)
    inputs.put(1)
    inputs.clear()
    assert await inputs.next() is None
