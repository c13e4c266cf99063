"""A start with a key is made once: repeated, it gives the same task, running or ended, whatever was lost on the way."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import MCPError
from mcp.server import MCPServer

import mcpc
from mcpc.uri import listen_at
from relay import After, relay_to
from support import TEMPLATES, Certificates, PlainEndpoint, make_server, serving

pytestmark = pytest.mark.anyio


class Counting:
    """A server whose tool waits for a word, and counts how often it was begun."""

    def __init__(self, **options: Any) -> None:
        self.begun: list[str] = []
        self.server = MCPServer[Any]("counting", log_level="WARNING")
        callbacks = mcpc.MCPCHelper(self.server, **options)

        @callbacks.tool()
        async def work(name: str, task: mcpc.Task, loud: bool = False) -> str:  # pyright: ignore[reportUnusedFunction]
            self.begun.append(name)
            async for word in task.inputs():
                return f"{name}: {word}"
            return ""


@pytest.mark.parametrize("scheme", sorted(TEMPLATES))
async def test_the_same_key_is_the_same_task_over_every_transport(
    scheme: str, tmp_path: Path, certificates: Certificates
) -> None:
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, certificates=certificates) as served:
            async with mcpc.Client(served.uri, **served.options) as client:
                task = await client.start_task("wait_for_input", key="k")
                assert await client.start_task("wait_for_input", key="k") is task
                other = await client.start_task("wait_for_input", key="another")
                assert other.task_id != task.task_id
                with pytest.raises(mcpc.KeyRefused):
                    await client.start_task("count", {"n": 1}, key="k")
                await task.send("done")
                assert await task.result() == []
                again = await client.start_task("wait_for_input", key="k")
                assert (again.task_id, await again.result()) == (task.task_id, [])
                assert [message.event async for message in again] == ["complete"]
                await other.stop()


async def test_other_arguments_under_a_known_key_are_refused_and_nothing_is_started() -> None:
    counting = Counting()
    with anyio.fail_after(60):
        async with mcpc.listen(counting.server, "memory://keyed") as at, mcpc.Client(at.uri) as client:
            task = await client.start_task("work", {"name": "a", "loud": True}, key="k")
            assert await client.start_task("work", {"loud": True, "name": "a"}, key="k") is task
            with pytest.raises(mcpc.KeyRefused, match="other arguments"):
                await client.start_task("work", {"name": "b", "loud": True}, key="k")
            await task.send("ready")
            assert await task.result() == "a: ready"
            with pytest.raises(mcpc.KeyRefused):
                await client.start_task("work", {"name": "b"}, key="k")
            assert counting.begun == ["a"]


async def test_listeners_see_one_created_and_nothing_after_the_end() -> None:
    counting = Counting()
    with anyio.fail_after(60):
        async with mcpc.listen(counting.server, "memory://keyed-seen") as at, mcpc.Client(at.uri) as client:
            seen: list[str] = []
            client.add_event_listener(lambda message: seen.append(message.event))
            task = await client.start_task("work", {"name": "a"}, key="k")
            await client.start_task("work", {"name": "a"}, key="k")
            await task.send("ready")
            await task.result()
            await client.start_task("work", {"name": "a"}, key="k")
            assert seen == ["created", "complete"]


async def test_two_starts_at_once_are_one() -> None:
    counting = Counting()
    with anyio.fail_after(60):
        async with mcpc.listen(counting.server, "memory://keyed-at-once") as at, mcpc.Client(at.uri) as client:
            tasks: list[mcpc.TaskHandle] = []

            async def start() -> None:
                tasks.append(await client.start_task("work", {"name": "a"}, key="k"))

            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(start)
            assert len({task.task_id for task in tasks}) == 1
            await tasks[0].send("go")
            assert [await task.result() for task in tasks] == ["a: go"] * 8
            assert counting.begun == ["a"]


async def test_a_key_is_its_channels_own() -> None:
    counting = Counting()
    with anyio.fail_after(60):
        async with (
            mcpc.listen(counting.server, "memory://keyed-own") as at,
            mcpc.Client(at.uri) as one,
            mcpc.Client(at.uri) as two,
        ):
            first = await one.start_task("work", {"name": "one"}, key="k")
            second = await two.start_task("work", {"name": "two"}, key="k")
            assert first.task_id != second.task_id


@pytest.mark.parametrize("store", [None, "sqlite:{}/tasks.db"])
async def test_a_start_whose_answer_was_lost_is_made_once(store: str | None, tmp_path: Path) -> None:
    counting = Counting(store=None if store is None else store.format(tmp_path))
    with anyio.fail_after(60):
        async with mcpc.listen(counting.server, "tcp://127.0.0.1:0") as at:
            with relay_to(at.uri, tmp_path, [After(b"created")]) as relay:
                connected = anyio.Event()

                def note(state: str) -> None:
                    if state == "connected" and relay.cut_count:
                        connected.set()

                async with mcpc.Client(relay.uri, on_connection=note) as client:
                    with pytest.raises(mcpc.ConnectionLost):
                        await client.start_task("work", {"name": "a"}, key="k")
                    await connected.wait()
                    task = await client.start_task("work", {"name": "a"}, key="k")
                    await task.send("again")
                    assert await task.result() == "a: again"
    assert counting.begun == ["a"]


async def test_a_key_outlives_the_server(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}/tasks.db"
    with anyio.fail_after(60):
        first = Counting(store=store)
        async with mcpc.listen(first.server, "tcp://127.0.0.1:0") as at, mcpc.Client(at.uri) as client:
            task = await client.start_task("work", {"name": "a"}, key="k")
            await task.send("kept")
            assert await task.result() == "a: kept"
        second = Counting(store=store)
        async with mcpc.listen(second.server, "tcp://127.0.0.1:0") as at:
            async with mcpc.Client(at.uri, channel=client.channel) as client:
                again = await client.start_task("work", {"name": "a"}, key="k")
                assert (again.task_id, await again.result()) == (task.task_id, "a: kept")
                with pytest.raises(mcpc.KeyRefused):
                    await client.start_task("work", {"name": "b"}, key="k")
    assert second.begun == []


async def test_a_server_that_knows_no_keys_is_asked_for_nothing() -> None:
    server, called = MCPServer[Any]("standard", log_level="WARNING"), False

    @server.tool()
    def work() -> None:  # pyright: ignore[reportUnusedFunction]
        nonlocal called
        called = True

    with anyio.fail_after(60):
        async with listen_at("memory://keyless", PlainEndpoint(server)) as at, mcpc.Client(at.uri) as client:
            with pytest.raises(mcpc.KeyRefused, match="no keys"):
                await client.start_task("work", key="k")
    assert not called


@pytest.mark.parametrize("key", ["", "x" * 1025])
async def test_a_key_is_a_text_of_1_to_1024_characters(key: str) -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), "memory://keyed-bounds") as at, mcpc.Client(at.uri) as client:
            with pytest.raises(MCPError, match="1 to 1024"):
                await client.start_task("count", {"n": 0}, key=key)
            longest = await client.start_task("count", {"n": 0}, key="x" * 1024)
            assert await longest.result() == {"rows": 0}
