"""A server with a store, in one process: what it keeps, what it gives back, and what a second server makes of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.server.signals import Signals
from mcpc.stored import Signal
from mcpc_stores.memory import MemoryStore

pytestmark = pytest.mark.anyio


def make_server(store: str, **limits: Any) -> MCPServer[Any]:
    server = MCPServer[Any]("stored", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, store=store, **limits)

    @callbacks.tool()
    async def count(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        for i in range(n):
            await task.update(i)
        return {"rows": n}

    @callbacks.tool()
    async def echo(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        got = [await task.ask("Which?", choices=["a", "b"])]
        async for value in task.inputs():
            if value == "done":
                break
            got.append(value)
        return got

    @callbacks.tool(on_interrupt="resume")
    async def resume(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        if task.resumed is None:
            await task.checkpoint({"at": 7})
            await task.update("kept")
            await task.stopping()
        return {"resumed": task.resumed}

    return server


@asynccontextmanager
async def connected(server: MCPServer[Any]) -> AsyncGenerator[mcpc.Client]:
    with anyio.fail_after(60):
        async with mcpc.listen(server, "tcp://127.0.0.1:0") as listener, mcpc.Client(listener.uri) as client:
            yield client


@pytest.fixture(params=["sqlite:{}/tasks.db", "memory:{}"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.format(tmp_path)


async def test_a_task_runs_as_without_a_store(store: str) -> None:
    async with connected(make_server(store)) as client:
        task = await client.start_task("count", {"n": 3000})
        seen = [message.result async for message in task]
        assert [value for value in seen if isinstance(value, int)] == list(range(3000))
        assert await task.result() == {"rows": 3000}
        state = await task.state()
        assert state["status"] == "complete"


async def test_inputs_answers_and_stops_go_through_the_store(store: str) -> None:
    async with connected(make_server(store)) as client:
        client.on_prompt(lambda prompt: "b")
        task = await client.start_task("echo")
        await task.send("one")
        await task.send("done")
        assert await task.result() == ["b", "one"]
        with pytest.raises(mcpc.TaskEnded):
            await task.send("late")
        stopped = await client.start_task("resume")
        await stopped.stop()
        with pytest.raises(mcpc.TaskStopped):
            await stopped.result()


async def test_what_is_said_after_the_store_lost_its_newest_signals_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    said = MemoryStore.signal
    answered = anyio.Event()
    is_copy = False

    async def signal(self: MemoryStore, task_id: str, signal: Signal) -> int:
        """One that numbers anew, below what the worker has heard, as a copy does that took over."""
        if is_copy:
            return 1
        number = await said(self, task_id, signal)
        answered.set()
        return number

    monkeypatch.setattr(MemoryStore, "signal", signal)
    async with connected(make_server("memory:")) as client:
        client.on_prompt(lambda prompt: "a")
        task = await client.start_task("echo")
        await answered.wait()
        await task.send("one")
        is_copy = True
        await task.send("two")
        await task.send("done")
        assert await task.result() == ["a", "one", "two"]


async def test_a_graceful_stop_gives_back_what_may_run_again(store: str) -> None:
    async with connected(make_server(store)) as client:
        task = await client.start_task("resume")
        async for message in task:
            if message.result == "kept":
                break
        task_id, channel = task.task_id, client._listening.channel  # pyright: ignore[reportPrivateUsage]
    server = make_server(store)
    with anyio.fail_after(60):
        async with mcpc.listen(server, "tcp://127.0.0.1:0") as listener:
            client = mcpc.Client(listener.uri)
            client._listening.channel = channel  # pyright: ignore[reportPrivateUsage]
            events: list[tuple[str, Any]] = []
            ended = anyio.Event()

            def listen(message: mcpc.MCPCMessage) -> None:
                if message.task_id == task_id or message.type == "server_event":
                    events.append((message.event, message.result))
                if message.event == "complete":
                    ended.set()

            client.add_event_listener(listen)
            async with client:
                await ended.wait()
    assert ("restarted", {"task_id": task_id, "attempt": 2}) in events
    assert events[-1] == ("complete", {"resumed": {"at": 7}})


async def test_a_store_that_cannot_be_opened_is_told_of_when_the_server_is_served(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    path.write_bytes(b"no database at all " * 100)
    path.chmod(0o600)
    server = make_server(f"sqlite:{path}")
    with pytest.raises(mcpc.StoreSchema, match="is not a database"):
        async with mcpc.listen(server, "tcp://127.0.0.1:0"):
            pass


def test_a_bad_address_is_told_of_where_it_is_given() -> None:
    with pytest.raises(mcpc.URIError, match="no folder"):
        make_server("sqlite:///no/such/folder/tasks.db")


async def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCPC_STORE", f"sqlite:{tmp_path}/tasks.db")
    server = MCPServer[Any]("environment", log_level="WARNING")
    mcpc.MCPCHelper(server)
    async with connected(server):
        assert (tmp_path / "tasks.db").is_file()


async def test_a_task_that_is_being_entered_hears_nothing_and_leaves_the_others_their_turn() -> None:
    def no_store() -> Any:
        raise AssertionError("there is nothing to read")

    entering: Any = SimpleNamespace(line=SimpleNamespace(claim=None))
    await Signals(no_store, lambda task_id: None).listen(entering)
