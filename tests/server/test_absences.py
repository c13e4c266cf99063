"""`abandon_after` with a store: a task is stopped once its client has been away from every process for that long."""

from collections.abc import Generator

import anyio
import pytest

import mcpc
from hand_clock import HandClock, hand_clock
from mcpc.server import visits
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
