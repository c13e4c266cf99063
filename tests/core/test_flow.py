"""Whether there is room: one fact, however many places may be full."""

import gc

import anyio
import pytest

from mcpc.flow import Flow

pytestmark = pytest.mark.anyio


class Place:
    """Somewhere messages go."""

    def __len__(self) -> int:
        return 1


def told(flow: Flow) -> list[str]:
    """What a flow tells, in order."""
    heard: list[str] = []
    flow.on_stop = lambda: heard.append("stop")
    flow.on_room = lambda: heard.append("room")
    return heard


def test_it_stops_with_the_first_full_place_and_goes_on_with_the_last() -> None:
    flow, one, two = Flow(), Place(), Place()
    heard = told(flow)
    flow.full(one)
    flow.full(two)
    flow.full(one)
    flow.drained(one)
    assert (flow.stopped, heard) == (True, ["stop"])
    flow.drained(two)
    assert (flow.stopped, heard) == (False, ["stop", "room"])


def test_a_place_that_was_not_full_changes_nothing_by_draining() -> None:
    flow, full, other = Flow(), Place(), Place()
    heard = told(flow)
    flow.full(full)
    flow.drained(other)
    assert (flow.stopped, heard) == (True, ["stop"])


async def test_a_full_place_that_nobody_holds_any_more_lets_the_flow_go_on() -> None:
    flow, place = Flow(), Place()
    heard = told(flow)
    flow.full(place)
    del place
    gc.collect()
    with anyio.fail_after(60):
        await flow.wait()
    assert heard == ["stop", "room"]


async def test_whoever_waits_is_let_go_only_when_what_was_held_up_found_room() -> None:
    flow, place = Flow(), Place()
    refusals = [place]
    flow.on_room = lambda: flow.full(refusals.pop()) if refusals else None
    flow.full(place)
    went_on = anyio.Event()

    async def wait() -> None:
        await flow.wait()
        went_on.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            flow.drained(place)
            await anyio.wait_all_tasks_blocked()
            assert not went_on.is_set(), "what was held up found it full again"
            flow.drained(place)
            await went_on.wait()
