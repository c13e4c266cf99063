"""A slow, failing or vanished listener delays and harms nobody else, and memory stays bounded."""

import gc
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.framing import Connection
from mcpc.uri import dial
from support import make_server, serving

pytestmark = pytest.mark.anyio

SCHEMES = ["unix", "ws", "http"]


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_listener_that_sleeps_raises_or_removes_itself_leaves_the_others_alone(
    scheme: str, tmp_path: Path
) -> None:
    seen: list[Any] = []
    removed: list[Any] = []

    async def sleeps(message: mcpc.MCPCMessage) -> None:
        await anyio.sleep_forever()

    def raises(message: mcpc.MCPCMessage) -> None:
        raise RuntimeError("a listener's own trouble")

    def removes_itself(message: mcpc.MCPCMessage) -> None:
        removed.append(message)
        client.remove_event_listener(removes_itself)

    async with serving(scheme, tmp_path) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                called: list[Any] = []

                async def calls_the_server(message: mcpc.MCPCMessage) -> None:
                    if message.terminal:
                        called.append((await client.call_tool("add", {"a": 1, "b": 2})).structured_content)

                sleeper = client.add_event_listener(sleeps)
                failing = client.add_event_listener(raises)
                for listener in (removes_itself, calls_the_server, seen.append):
                    client.add_event_listener(listener)
                task = await client.start_task("count", {"n": 50})
                assert await task.result() == {"rows": 50}
                await _until(lambda: bool(called))
    assert len(seen) == 52
    assert len(removed) == 1
    assert called == [{"result": 3}]
    assert failing.stats.errors == 52
    assert sleeper.stats.waiting == 51


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_blocking_listener_gets_every_message_and_requests_go_on(scheme: str, tmp_path: Path) -> None:
    seen: list[Any] = []
    opened = anyio.Event()

    async def slow(message: mcpc.MCPCMessage) -> None:
        await opened.wait()
        seen.append(message)

    async with serving(scheme, tmp_path) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                client.add_event_listener(slow, capacity=10, overflow="block")
                task = await client.start_task("count", {"n": 500})
                for _ in range(3):  # while callbacks are held up, requests are answered
                    assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
                assert not task.ended
                opened.set()
                assert await task.result() == {"rows": 500}
                await _until(lambda: len(seen) == 502)
    assert [m.result["progress"] for m in seen if m.event == "update"] == list(range(1, 501))


async def test_a_coalescing_listener_keeps_the_newest_update_and_every_end(tmp_path: Path) -> None:
    seen: list[Any] = []
    opened = anyio.Event()

    async def slow(message: mcpc.MCPCMessage) -> None:
        await opened.wait()
        seen.append(message)

    async with serving("unix", tmp_path) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                listener = client.add_event_listener(slow, capacity=10, overflow="coalesce")
                tasks = [await client.start_task("count", {"n": 100}) for _ in range(3)]
                for task in tasks:
                    await task.result()
                opened.set()
                await _until(lambda: sum(m.terminal for m in seen) == 3)
                assert listener.stats.dropped + len(seen) == 3 * 102
    assert listener.stats.dropped > 0
    for task in tasks:
        mine = [m.result["progress"] for m in seen if m.task_id == task.task_id and m.event == "update"]
        assert mine == sorted(mine)


async def test_a_listener_that_is_disconnected_is_told_so_in_its_counters(tmp_path: Path) -> None:
    async def never(message: mcpc.MCPCMessage) -> None:
        await anyio.sleep_forever()

    async with serving("unix", tmp_path) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                listener = client.add_event_listener(never, capacity=5, overflow="disconnect")
                await (await client.start_task("count", {"n": 50})).result()
                assert listener.stats.disconnected


class _Frames:
    """A client that writes frames by hand and reads only when told to."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def __aenter__(self) -> Any:
        return self.connection.streams

    async def __aexit__(self, *exc: object) -> None:
        return None


@pytest.mark.parametrize("scheme", ["unix", "ws"])
async def test_a_million_updates_into_a_client_that_stopped_reading_cost_bounded_memory(
    scheme: str, tmp_path: Path
) -> None:
    updates = 1_000_000
    server = MCPServer[Any]("flood", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, stall_timeout=0.05, max_messages=2000)
    finished = anyio.Event()

    @callbacks.tool()
    async def flood(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        for i in range(updates):
            await task.update({"progress": i, "padding": "x" * 200})
        finished.set()
        return "survived"

    async with serving(scheme, tmp_path, server) as served:
        with anyio.fail_after(280):
            async with dial(served.uri) as channel:
                gate = _Gate(channel)
                async with (
                    Connection(gate, side="client").open() as connection,
                    mcpc.Client(_Frames(connection)) as client,
                ):
                    events: list[mcpc.MCPCMessage] = []
                    client.add_event_listener(events.append)
                    task = await client.start_task("flood", {})
                    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                    gate.shut()
                    await finished.wait()
                    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                    gate.open()
                    assert await task.result() == "survived"
    # 1 000 000 messages of 400 bytes would be 400 MB; the log holds 2000 of them.
    assert grown < 60_000, f"{grown} KiB"
    assert any(message.event == "gap" for message in events)
    numbers = [m.result["progress"] for m in events if m.event == "update"]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 50_000


class _Gate:
    """A channel whose receiving can be held up, as by a client that is busy elsewhere."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._open = anyio.Event()
        self._open.set()
        self.send = inner.send
        self.aclose = inner.aclose

    def shut(self) -> None:
        self._open = anyio.Event()

    def open(self) -> None:
        self._open.set()

    async def receive(self) -> bytes:
        await self._open.wait()
        frame: bytes = await self._inner.receive()
        await self._open.wait()
        return frame


async def test_a_plain_client_that_never_asked_for_callbacks_is_sent_none(tmp_path: Path) -> None:
    server = make_server()
    async with serving("unix", tmp_path, server) as served, mcp.Client(mcpc.connect(served.uri)) as client:
        assert await mcpc.MCPCHelper(server).emit("news") == 0
        assert (await client.call_tool("add", {"a": 2, "b": 2})).structured_content == {"result": 4}


async def test_a_handle_that_nobody_holds_is_gone_and_listeners_go_on() -> None:
    server = MCPServer("dropped")
    callbacks = mcpc.MCPCHelper(server)
    heard: list[int] = []
    ended = anyio.Event()

    @callbacks.tool()
    async def count(task: mcpc.Task) -> None:
        async for _ in task.inputs():
            break
        for number in range(20_000):  # more than a handle holds
            await task.update(number)

    def listener(message: mcpc.MCPCMessage) -> None:
        if message.event == "update":
            heard.append(message.result)
        elif message.terminal:
            ended.set()

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            client.add_event_listener(listener)
            handle = await client.start_task("count")
            assert list(client.tasks.values()) == [handle]
            await handle.send("go")
            del handle
            gc.collect()
            assert len(client.tasks) == 0
            await ended.wait()
    assert heard == list(range(20_000))


@pytest.mark.parametrize("scheme", ["memory", "unix", "ws", "http"])
async def test_a_flood_through_a_small_log_loses_nothing_and_its_listener_may_use_the_loop(
    scheme: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    if scheme == "http" and anyio_backend_name == "trio":
        pytest.skip("HTTP listeners need asyncio")
    server = MCPServer("small")
    callbacks = mcpc.MCPCHelper(server, max_messages=50)
    heard: list[int] = []
    times: list[float] = []
    ended = anyio.Event()

    @callbacks.tool()
    async def flood(task: mcpc.Task) -> None:
        for number in range(5000):
            await task.update(number)

    def listener(message: mcpc.MCPCMessage) -> None:
        times.append(anyio.current_time())  # raises outside of the loop, and in a callback that anyio does not know
        if message.event == "update":
            heard.append(message.result)
        elif message.terminal:
            ended.set()

    uri = {"memory": "memory://small", "unix": f"unix://{tmp_path}/s", "ws": "ws://127.0.0.1:0/mcp"}.get(
        scheme, "http://127.0.0.1:0/mcp"
    )
    with anyio.fail_after(60):
        async with mcpc.listen(server, uri) as served, mcpc.Client(served.uri) as client:
            registration = client.add_event_listener(listener)
            await client.start_task("flood")
            await ended.wait()
    assert heard == list(range(5000))
    assert (registration.stats.errors, len(times)) == (0, 5002)


@pytest.mark.parametrize("scheme", ["memory", *SCHEMES])
@pytest.mark.parametrize("ends_well", [True, False])
async def test_messages_of_all_sizes_push_out_none_that_the_listener_is_still_to_be_sent(
    scheme: str, ends_well: bool, tmp_path: Path
) -> None:
    server = MCPServer[Any]("sizes", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, max_bytes=4000)
    count = 1500

    @callbacks.tool()
    async def sizes(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        for number in range(count):
            # One may be as large as ten others, and has to wait for all of them.
            await task.update([number, "x" * (1500 if number % 7 == 0 else number % 10)])
        if not ends_well:
            raise ValueError("x" * 3000)
        return "x" * 3000

    seen: list[Any] = []
    ended = anyio.Event()

    def listen(message: mcpc.MCPCMessage) -> None:
        seen.append(message.result[0] if message.event == "update" else message.event)
        if message.terminal:
            ended.set()

    async with serving(scheme, tmp_path, server) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                client.add_event_listener(listen)
                await client.start_task("sizes")
                await ended.wait()
    assert seen == ["created", *range(count), "complete" if ends_well else "failed"]
