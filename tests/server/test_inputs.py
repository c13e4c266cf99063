"""What waits for a worker: in order, bounded, and over once the task shall stop."""

import anyio
import pytest

import mcpc
from mcpc.server.inputs import Inputs

pytestmark = pytest.mark.anyio


async def test_inputs_come_in_order_and_a_worker_waits_for_the_next() -> None:
    inputs = Inputs(10, 100)
    inputs.put(1, 1)
    inputs.put(None, 1)
    taken = [await inputs.next(), await inputs.next()]

    async def take() -> None:
        taken.append(await inputs.next())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            assert len(taken) == 2
            inputs.put("late", 1)
    assert taken == [(1,), (None,), ("late",)]


async def test_as_many_wait_as_may_and_one_more_is_refused() -> None:
    inputs = Inputs(2, 100)
    inputs.put(1, 1)
    inputs.put(2, 1)
    with pytest.raises(mcpc.InputRefused, match="2 inputs wait already"):
        inputs.put(3, 1)
    assert await inputs.next() == (1,)
    inputs.put(3, 1)
    assert [await inputs.next(), await inputs.next()] == [(2,), (3,)]


async def test_so_many_bytes_wait_as_may_and_one_that_is_larger_alone_does_too() -> None:
    inputs = Inputs(10, 100)
    inputs.put("large", 101)
    with pytest.raises(mcpc.InputRefused, match="101 bytes of inputs wait already, and the limit is 100"):
        inputs.put("small", 1)
    assert await inputs.next() == ("large",)
    inputs.put("half", 60)
    inputs.put("to the limit", 40)
    with pytest.raises(mcpc.InputRefused):
        inputs.put("past it", 1)


async def test_once_closed_what_waits_is_still_taken_and_then_it_is_over() -> None:
    inputs = Inputs(10, 100)
    inputs.put(1, 1)
    inputs.close()
    assert [await inputs.next(), await inputs.next()] == [(1,), None]


async def test_who_waits_when_it_closes_waits_no_more() -> None:
    inputs, taken = Inputs(10, 100), list[object]()

    async def take() -> None:
        taken.append(await inputs.next())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            inputs.close()
    assert taken == [None]


async def test_once_cleared_nothing_is_left() -> None:
    inputs = Inputs(10, 100)
    inputs.put(1, 1)
    inputs.clear()
    assert await inputs.next() is None
