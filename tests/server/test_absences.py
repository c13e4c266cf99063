"""`abandon_after` with a store: a task is stopped once its client has been away from every process for that long."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import mcpc
from hand_clock import HandClock, hand_clock
from mcpc.server import visits
from mcpc.store import Store
from mcpc.store_uri import resolve_store
from mcpc.stored import StoredTask, StoreLimits
from mcpc.testing import FaultyStore
from mcpc.transport import URI
from replicas_kit import Replica, caller_without_ears, is_listened_to, served, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Generator[HandClock]:
    monkeypatch.setattr(visits, "LONGEST_INTERVAL", 0.02)
    with hand_clock() as clock:
        yield clock


async def pass_until_there_run(count: int, replica: Replica, clock: HandClock) -> None:
    while replica.callbacks.stats.tasks > count:
        clock.now += 10.0
        await anyio.sleep(0.02)


async def test_a_task_is_stopped_once_when_its_client_listens_nowhere_any_more(store: str, clock: HandClock) -> None:
    one, two = (Replica(store, abandon_after=100.0) for _ in range(2))
    with anyio.fail_after(60):
        async with served(one, two):
            async with mcpc.Client(one.uri) as leaving:
                left = (await leaving.start_task("wait")).task_id
            async with mcpc.Client(two.uri) as there:
                there.add_event_listener(lambda message: None)
                await until(lambda: is_listened_to(two))
                async with caller_without_ears(one, there.channel) as call:
                    await call("wait", {}, "kept")
                assert one.callbacks.stats.tasks == 2
                await pass_until_there_run(1, one, clock)
                running = one.callbacks.binding.workshop.running_by_id("kept")
                assert running is not None, "its client listens at the other"
            await pass_until_there_run(0, one, clock)

            ends: list[mcpc.MCPCMessage] = []
            again = mcpc.Client(two.uri, channel=leaving.channel)
            again.add_event_listener(ends.append, event="failed")
            task = again.task(left)
            async with again:
                with pytest.raises(mcpc.TaskStopped) as stopped:
                    await task.result()
            assert stopped.value.result["abandoned"] is True
            assert [message.task_id for message in ends] == [left]


class NeverLists:
    """A store that has all it is told, and never answers what tasks a listener has."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    @asynccontextmanager
    async def open(self, uri: URI, /, *, limits: StoreLimits) -> AsyncGenerator[Any]:
        async with resolve_store("memory").open(uri, limits=limits) as store:
            yield _NeverListing(store, self.asked)


class _NeverListing:
    def __init__(self, inner: Store, asked: anyio.Event) -> None:
        self._inner = inner
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def tasks(self, channel: str) -> list[StoredTask]:
        self._asked.set()
        await anyio.sleep_forever()
        raise AssertionError("it is cancelled")


async def test_so_is_one_whose_client_left_when_the_store_knew_of_its_listening_already(clock: HandClock) -> None:
    plan = NeverLists()
    mcpc.register_store("never-lists", plan, replace=True)
    one = Replica("never-lists:left", abandon_after=100.0)
    with anyio.fail_after(60):
        async with served(one):
            async with mcpc.Client(one.uri) as leaving:
                leaving.add_event_listener(lambda message: None)
                await plan.asked.wait()
                async with caller_without_ears(one, leaving.channel) as call:
                    await call("wait", {}, "left")
            await pass_until_there_run(0, one, clock)


async def test_so_is_one_whose_client_left_when_the_store_was_away(clock: HandClock) -> None:
    plan = FaultyStore("memory")
    mcpc.register_store("away-when-left", plan, replace=True)
    one = Replica("away-when-left:left", abandon_after=100.0)
    with anyio.fail_after(60):
        async with served(one):
            async with mcpc.Client(one.uri) as leaving:
                leaving.add_event_listener(lambda message: None)
                await leaving.start_task("wait")
                await until(lambda: is_listened_to(one))
                plan.down, before = True, plan.calls.get("sent", 0)
            await until(lambda: plan.calls.get("sent", 0) > before)
            plan.down = False
            await pass_until_there_run(0, one, clock)
