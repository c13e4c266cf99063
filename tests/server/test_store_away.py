"""A store that cannot be reached for longer than a lease: each task that was given up has one end all the same."""

import secrets
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.store_uri import open_store
from mcpc.stored import Claim
from mcpc.testing import FaultyStore
from replicas_kit import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def plan() -> FaultyStore:
    made = FaultyStore("memory")
    mcpc.register_store("away", made, replace=True)
    return made


async def test_a_task_that_was_given_up_ends_once_when_the_store_is_there_again(plan: FaultyStore) -> None:
    server = MCPServer[Any]("away", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, store="away:once", lease=3.0)
    runs, given_up = list[int](), anyio.Event()

    @callbacks.tool()
    async def once(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        try:
            await task.update("works")
            await anyio.sleep_forever()
        finally:
            given_up.set()

    @callbacks.tool(on_interrupt="restart")
    async def again(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        runs.append(1)
        if len(runs) == 1:
            await anyio.sleep_forever()
        return "done"

    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://store-away") as at, mcpc.Client(at.uri) as client:
            seen: list[mcpc.MCPCMessage] = []
            client.add_event_listener(seen.append)
            failing = await client.start_task("once")
            restarted = await client.start_task("again")
            async for message in failing:
                if message.event == "update":
                    break
            plan.down = True
            await given_up.wait()
            with pytest.raises(mcpc.TaskFailed, match="down on purpose"):
                await (await client.start_task("once")).result()
            plan.down = False
            with pytest.raises(mcpc.TaskInterrupted):
                await failing.result()
            assert await restarted.result() == "done"
            assert (await failing.state())["status"] == "failed"
            assert [m.event for m in seen if m.task_id == failing.task_id] == ["created", "update", "failed"]


async def test_a_process_that_takes_up_its_own_task_again_ends_the_worker_that_it_had(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = MCPServer[Any]("again", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, store="memory:taken-up-again")
    runs, first_ended = list[int](), anyio.Event()

    @callbacks.tool(on_interrupt="restart")
    async def again(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        runs.append(1)
        if len(runs) == 1:
            try:
                await task.update("works")
                await anyio.sleep_forever()
            finally:
                first_ended.set()
        await first_ended.wait()
        return "done"

    with anyio.fail_after(60):
        async with (
            mcpc.listen(server, "memory://taken-up-again") as at,
            mcpc.Client(at.uri) as client,
            open_store("memory:taken-up-again") as other,
        ):
            task = await client.start_task("again")
            async for message in task:
                if message.event == "update":
                    break
            stored = await other.task(task.task_id)
            assert stored is not None
            await other.release(Claim(stored.task_id, stored.channel, stored.token))  # it is taken for dead
            assert await task.result() == "done"
            assert await (await client.start_task("again")).result() == "done"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_others_wrote_is_read_when_the_store_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcpc.server.tail.LOOK_INTERVAL", 1000.0)
    monkeypatch.setattr("mcpc.server.shelf.RETRY", 0.01)
    goes_away = False

    def landed() -> None:
        plan.down = goes_away

    plan = FaultyStore("memory", at={"after append": landed})
    plan.lost_bells = 1.0
    mcpc.register_store("deaf-and-away", plan, replace=True)
    name = secrets.token_hex(8)
    one, two = MCPServer[Any]("one", log_level="CRITICAL"), MCPServer[Any]("two")
    here = mcpc.MCPCHelper(one, store=f"deaf-and-away:{name}")
    there = mcpc.MCPCHelper(two, store=f"memory:{name}")

    @here.tool()
    async def first(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        pass

    with anyio.fail_after(60):
        async with (
            mcpc.listen(one, f"memory://{name}-one") as at,
            mcpc.listen(two, f"memory://{name}-two"),
            mcpc.Client(at.uri) as client,
        ):
            seen: list[int] = []
            client.add_event_listener(lambda message: seen.append(message.result), event="notice")
            await (await client.start_task("first")).result()  # so it listens
            await there.emit("notice", 1)  # the first server does not hear of it
            goes_away = True
            await here.emit("notice", 2)  # lands behind it
            await until(lambda: plan.down)
            tried = plan.calls["read"]
            await until(lambda: plan.calls["read"] > tried + 1)
            assert seen == []
            plan.down = False
            await until(lambda: len(seen) == 2)
    assert seen == [1, 2]
