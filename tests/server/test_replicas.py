"""Two servers on one store: either answers for any task, and a client gets its messages wherever it listens."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc

pytestmark = pytest.mark.anyio


class Replica:
    """One of several servers with the same tools."""

    def __init__(self, store: str, **limits: Any) -> None:
        self.server = MCPServer[Any]("replica", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, store=store, **limits)
        self.uri = ""

        @self.callbacks.tool()
        async def count(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
            for number in range(n):
                await task.update(number)
            return {"rows": n}

        @self.callbacks.tool()
        async def gather(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
            got = [await task.ask("Which?", choices=["a", "b"])]
            async for value in task.inputs():
                if value == "done":
                    break
                got.append(value)
            return got

        @self.callbacks.tool()
        async def wait(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
            await task.stopping()


@asynccontextmanager
async def served(*replicas: Replica) -> AsyncGenerator[None]:
    async with mcpc.listen(replicas[0].server, "tcp://127.0.0.1:0") as listener:
        replicas[0].uri = listener.uri
        if replicas[1:]:
            async with served(*replicas[1:]):
                yield
        else:
            yield


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:{tmp_path}/tasks.db"


async def asked_by(task: mcpc.TaskHandle) -> str:
    """The id of the first question of a task."""
    async for message in task:
        if message.event == "update":
            return message.result["prompt"]["id"]
    raise AssertionError("it asked nothing")


@asynccontextmanager
async def caller_without_ears(replica: Replica, channel: str) -> AsyncGenerator[Any]:
    """Calls tools at a replica for a client that listens elsewhere."""
    async with mcpc.Client(replica.uri) as caller:

        async def call(tool: str, arguments: dict[str, Any], task_id: str) -> None:
            meta: Any = {"mcpc/channel": channel, "mcpc/taskId": task_id}
            assert not (await caller.call_tool(tool, arguments, meta=meta)).is_error

        yield call


async def test_messages_of_a_task_reach_a_client_that_listens_at_the_other(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(two.uri) as there:
            seen: list[Any] = []
            ended = anyio.Event()

            def listen(message: mcpc.MCPCMessage) -> None:
                seen.append(message.result)
                if message.event == "complete":
                    ended.set()

            there.add_event_listener(listen)
            async with caller_without_ears(one, there.channel) as call:
                await call("count", {"n": 500}, "a-task")
                await ended.wait()
            assert seen == [*range(500), {"rows": 500}]


async def test_inputs_answers_and_stops_reach_a_task_from_the_other_server(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(one.uri) as client:
            task = await client.start_task("gather")
            waiting = await client.start_task("wait")
            prompt_id = await asked_by(task)
            there = mcpc.Client(two.uri, channel=client.channel)
            handle, stopped = there.task(task.task_id), there.task(waiting.task_id)
            async with there:
                assert (await handle.state())["status"] == "waiting"
                with pytest.raises(mcpc.PromptError):
                    await handle.answer(prompt_id, "c")
                await handle.answer(prompt_id, "b")
                await handle.send({"more": 1})
                await handle.send("done")
                assert await handle.result() == ["b", {"more": 1}]
                await stopped.stop()
                with pytest.raises(mcpc.TaskStopped):
                    await stopped.result()


async def test_of_two_answers_at_two_servers_one_wins_and_the_other_is_told(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(one.uri) as client:
            task = await client.start_task("gather")
            prompt_id = await asked_by(task)
            there = mcpc.Client(two.uri, channel=client.channel)
            handle = there.task(task.task_id)
            outcomes: dict[str, str] = {}

            async def answer(task: mcpc.TaskHandle, value: str) -> None:
                try:
                    await task.answer(prompt_id, value)
                    outcomes[value] = "taken"
                except mcpc.PromptError:
                    outcomes[value] = "refused"

            async with there:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(answer, task, "a")
                    tasks.start_soon(answer, handle, "b")
                assert sorted(outcomes.values()) == ["refused", "taken"]
                await handle.send("done")
                (taken,) = (value for value, outcome in outcomes.items() if outcome == "taken")
                assert await handle.result() == [taken]


async def test_a_server_event_reaches_clients_of_both_servers(store: str) -> None:
    one, two = Replica(store), Replica(store)
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(one.uri) as here, mcpc.Client(two.uri) as there:
            seen: dict[str, list[str]] = {"here": [], "there": []}
            last = {"here": anyio.Event(), "there": anyio.Event()}

            def listen(name: str, message: mcpc.MCPCMessage) -> None:
                seen[name].append(message.event)
                if message.event == "last":
                    last[name].set()

            here.add_event_listener(lambda message: listen("here", message), type="server_event")
            there.add_event_listener(lambda message: listen("there", message), type="server_event")
            await (await here.start_task("count", {"n": 0}, session_id="s1")).result()
            await (await there.start_task("count", {"n": 0}, session_id="s2")).result()
            assert await one.callbacks.emit("news", {"x": 1}, session_id="s2") == 1
            assert await two.callbacks.emit("news", {"x": 1}, session_id="s1") == 1
            assert await one.callbacks.emit("nobody", session_id="s3") == 0
            assert await one.callbacks.emit("last") == 2
            for event in last.values():
                await event.wait()
            assert seen == {"here": ["news", "last"], "there": ["news", "last"]}


async def test_a_fast_worker_never_outruns_a_listener_at_the_other_server(store: str) -> None:
    one, two = (Replica(store, max_messages=100, stall_timeout=60.0) for _ in range(2))
    with anyio.fail_after(60):
        async with served(one, two), mcpc.Client(two.uri) as there:
            seen: list[Any] = []
            ended = anyio.Event()

            def listen(message: mcpc.MCPCMessage) -> None:
                seen.append(message.result)
                if message.event == "complete":
                    ended.set()

            there.add_event_listener(listen)
            async with caller_without_ears(one, there.channel) as call:
                await call("count", {"n": 3000}, "fast")
                await ended.wait()
            assert seen == [*range(3000), {"rows": 3000}]
