"""Who asks at one process about a task that runs at another, or listens there for a moment, is there for it."""

from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

import mcpc
from hand_clock import HandClock, hand_clock
from mcpc.server import visits
from replicas_kit import Replica, is_listened_to, served, until
from sep2663_kit import ByHand, by_hand

pytestmark = pytest.mark.anyio

PATIENCE = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Generator[HandClock]:
    monkeypatch.setattr(visits, "LONGEST_INTERVAL", 0.02)
    with hand_clock() as clock:
        yield clock


def absence(replica: Replica, task_id: str) -> float:
    running = replica.callbacks.binding.workshop.running_by_id(task_id)
    assert running is not None, "it was stopped"
    return running.attendance.absence  # type: ignore[attr-defined]


async def nearly_abandoned(replica: Replica, task_id: str, clock: HandClock) -> None:
    clock.now += 1.0  # a place that is held for a visitor is given back
    while not absence(replica, task_id):
        clock.now += 0.001
        await anyio.sleep(0.02)
    clock.now += 0.6 * PATIENCE  # never more, however late the store's word comes
    await until(lambda: absence(replica, task_id) >= PATIENCE / 2)


async def ask_for_its_state(there: ByHand, at: Replica, channel: str, task_id: str) -> None:
    await there.ask("mcpc/task", {"channel": channel, "taskId": task_id})


async def listen_for_a_moment(there: ByHand, at: Replica, channel: str, task_id: str) -> None:
    client = mcpc.Client(at.uri, channel=channel)
    client.add_event_listener(lambda message: None)
    async with client:
        await until(lambda: is_listened_to(at))


@pytest.mark.parametrize("visit", [ask_for_its_state, listen_for_a_moment])
async def test_who_was_at_another_process_for_a_moment_is_not_away(
    visit: object, clock: HandClock, tmp_path: Path
) -> None:
    one, two = (Replica(f"sqlite:{tmp_path}/tasks.db", abandon_after=PATIENCE) for _ in range(2))
    with anyio.fail_after(60):
        async with served(one, two), by_hand(two.uri) as there:
            async with mcpc.Client(one.uri) as client:
                task_id = (await client.start_task("wait")).task_id
            for _ in range(3):
                await nearly_abandoned(one, task_id, clock)
                await visit(there, two, client.channel, task_id)  # type: ignore[operator]
                await until(lambda: absence(one, task_id) < PATIENCE / 2)


async def test_who_polls_or_follows_a_task_of_the_extension_at_another_process_is_not_away(
    clock: HandClock, tmp_path: Path
) -> None:
    one, two = (Replica(f"sqlite:{tmp_path}/tasks.db", abandon_after=PATIENCE) for _ in range(2))
    with anyio.fail_after(60):
        async with served(one, two), by_hand(one.uri) as here, by_hand(two.uri) as there:
            task_id = (await here.call("wait"))["taskId"]
            for _ in range(2):
                await nearly_abandoned(one, task_id, clock)
                await there.get(task_id)
                await until(lambda: absence(one, task_id) < PATIENCE / 2)
            await nearly_abandoned(one, task_id, clock)
            stream = await there.listen(task_id)
            await until(lambda: absence(one, task_id) < PATIENCE / 2)
            await stream.cancel()
            await here.get(task_id)
            while one.callbacks.stats.tasks:
                clock.now += 10.0
                await anyio.sleep(0.02)
            await there.until(task_id, "cancelled")
