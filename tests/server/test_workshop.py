"""A server's tasks without a connection: who may start one, what is refused, and an end in good order."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import mcpc
from mcpc.server import workshop as room
from mcpc.server.execution import Execution
from mcpc.server.journal import Journal
from mcpc.server.limits import Limits
from mcpc.server.streams import ListenStream
from mcpc.server.workshop import Workshop

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def workshop(**limits: Any) -> AsyncGenerator[tuple[Workshop, Journal]]:
    """A workshop that is open, and the journal of a client."""
    shop = Workshop(Limits(**limits))
    with anyio.fail_after(60):
        async with shop.hold():
            journal = shop.journals.open("k", None)
            assert journal is not None
            yield shop, journal


def start(shop: Workshop, journal: Journal) -> Execution:
    return shop.start(tool_name="tool", session_id="s", journal=journal)


async def work_one(shop: Workshop, journal: Journal) -> Execution:
    execution = start(shop, journal)
    execution.started.set()

    async def worker() -> int:
        return 1

    shop.run(execution, worker)
    await execution.ended.wait()
    return execution


async def test_what_may_be_forgotten_is_looked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SWEEP_INTERVAL", 0.0)
    async with workshop(channel_ttl=0.0, task_ttl=0.0) as (shop, journal):
        journal.touched -= 1
        while len(shop.journals):
            await anyio.lowlevel.checkpoint()
        execution = await work_one(shop, journal)
        while any(state is execution.state for state in shop.registry.of(journal.key)):
            await anyio.lowlevel.checkpoint()


async def test_who_reads_no_results_cannot_start_more_tasks_than_results_are_kept() -> None:
    async with workshop(max_messages=1, max_ended_tasks=2) as (shop, journal):
        for _ in range(3):  # the log itself holds the third
            await work_one(shop, journal)
        with pytest.raises(mcpc.MCPCError, match="too many results of this client wait to be read"):
            start(shop, journal)
        other = shop.journals.open("another", None)
        assert other is not None
        await work_one(shop, other)

        stream = ListenStream(journal, 1, 0, None)
        journal.listen(stream)
        while stream.next() is not None:
            pass
        await work_one(shop, journal)


async def test_a_task_that_ran_to_its_end_is_no_longer_running_and_its_state_is_known() -> None:
    async with workshop() as (shop, journal):
        execution = await work_one(shop, journal)
        assert execution.state.status == "complete"
        assert shop.running_by_id(execution.state.task_id) is None
        with pytest.raises(mcpc.TaskEnded, match="complete"):
            shop.execution(execution.state)
        assert journal.running == 0
        described = shop.describe(execution.state)
        assert (described["toolName"], described["status"]) == ("tool", "complete")


async def test_the_bound_on_running_tasks_is_one_for_all_and_an_end_makes_room() -> None:
    async with workshop(max_tasks=1) as (shop, journal):
        execution = start(shop, journal)
        with pytest.raises(mcpc.TooManyTasks):
            start(shop, journal)
        execution.started.set()
        shop.run(execution, anyio.sleep_forever)
        execution.cancel()
        await execution.ended.wait()
        start(shop, journal)


async def test_a_task_that_does_not_stop_is_cancelled_when_the_grace_is_over() -> None:
    async with workshop(stop_grace=0.0) as (shop, journal):
        execution, running = start(shop, journal), anyio.Event()
        execution.started.set()

        async def worker() -> None:
            running.set()
            await anyio.sleep_forever()

        shop.run(execution, worker)
        await running.wait()
        shop.stop(execution.state)
        await execution.ended.wait()
        assert execution.state.status == "failed"
        shop.stop(execution.state)  # and again, to no effect


async def test_nothing_starts_where_nothing_is_served_or_all_is_ending() -> None:
    async with workshop() as (shop, journal):
        await shop.wind_down()
        with pytest.raises(mcpc.ServerStopping, match="shutting down"):
            start(shop, journal)
    shop = Workshop(Limits())
    with pytest.raises(mcpc.MCPCError, match="not being served"):
        shop.start(tool_name="tool", session_id="s", journal=journal)


async def test_the_end_lets_a_listener_read_the_last_message_first() -> None:
    async with workshop(shutdown_grace=10.0) as (shop, journal):
        execution, running = start(shop, journal), anyio.Event()
        execution.started.set()

        async def worker() -> str:
            running.set()
            await execution.stop.wait()
            return "stopped by request"

        seen: list[Any] = []
        stream = ListenStream(journal, 1, 0, None)
        journal.listen(stream)
        shop.run(execution, worker)
        await running.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(shop.wind_down)
            while not stream.ended.is_set():
                await stream.ready()
                while (item := stream.next()) is not None:
                    seen.append(item)
        assert b"stopped by request" in seen[-1].messages[-1]


async def test_a_listener_that_does_not_read_is_ended_when_the_grace_is_over() -> None:
    async with workshop(shutdown_grace=0.0) as (shop, journal):
        stream = ListenStream(journal, 1, 0, None)
        journal.listen(stream)
        journal.post(b"1")
        await shop.wind_down()
        assert stream.ended.is_set()
