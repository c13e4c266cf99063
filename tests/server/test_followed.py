"""Who follows a stored task is told of each state that landed, whatever other followers do and whenever it ends."""

import logging

import anyio
import pytest

from mcpc.server.followed import Following
from mcpc.tasks import Status, TaskState

pytestmark = pytest.mark.anyio


def state(task_id: str, status: Status) -> TaskState:
    return TaskState(task_id, "tool", "s", "owner", created_at=0.0, updated_at=0.0, status=status)


async def test_a_change_that_comes_while_the_end_is_told_ends_nothing_else() -> None:
    statuses = {"one": Status.COMPLETE, "two": Status.COMPLETE}

    async def look(task_id: str) -> TaskState:
        following.changed(task_id)  # it lands again while it is being read
        await anyio.lowlevel.checkpoint()
        return state(task_id, statuses[task_id])

    following = Following(look)
    told: list[str] = []
    both = anyio.Event()

    def observe(seen: TaskState) -> None:
        told.append(seen.task_id)
        if seen.task_id == "two":
            both.set()

    for name in statuses:
        following.follow(name).observers.append(observe)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(following.tell_for_ever)
            following.changed("one")
            while not told:
                await anyio.lowlevel.checkpoint()
            following.changed("two")
            await both.wait()
            tasks.cancel_scope.cancel()
    assert told == ["one", "two"]


async def test_a_follower_that_raises_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def look(task_id: str) -> TaskState:
        return state(task_id, Status.COMPLETE)

    def fail(seen: TaskState) -> None:
        raise RuntimeError("cannot follow")

    def note(seen: TaskState) -> None:
        came.set()

    following, came = Following(look), anyio.Event()
    followed = following.follow("one")
    followed.observers += [fail, note]
    with anyio.fail_after(60), caplog.at_level(logging.CRITICAL):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(following.tell_for_ever)
            following.changed("one")
            await came.wait()
            tasks.cancel_scope.cancel()
