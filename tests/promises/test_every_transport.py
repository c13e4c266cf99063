"""One server, one client, every transport, both eras, both event loops: the same promises everywhere."""

import gc
import warnings
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import mcp
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

import mcpc
from mcpc.transport import FrameChannel
from mcpc.uri import dial, listen_at, schemes
from support import OBJECT, TEMPLATES, Certificates, PlainEndpoint, make_server, serving

pytestmark = pytest.mark.anyio

SCHEMES = sorted(TEMPLATES)
WAYS = [*SCHEMES, OBJECT]
"""What a client of ours can be given: an address of any scheme, or the server itself."""
MODES = ["auto", "legacy"]


def test_every_registered_scheme_is_tested_here() -> None:
    assert set(schemes()) <= set(TEMPLATES), "give the new scheme an address in support.TEMPLATES"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", WAYS)
async def test_a_thousand_updates_arrive_in_order_then_complete_then_nothing(
    scheme: str, mode: str, tmp_path: Path, certificates: Certificates
) -> None:
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, certificates=certificates) as served:
            async with mcpc.Client(served.uri, mode=mode, **served.options) as client:
                seen: list[mcpc.MCPCMessage] = []
                client.add_event_listener(seen.append)
                task = await client.start_task("count", {"n": 1000}, session_id="chat-1")
                messages = [message async for message in task]
                assert await task.result() == {"rows": 1000}
                # A round trip after the end: whatever was still on its way has come by then.
                assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
    events = [message.event for message in messages]
    assert events == ["created", *["update"] * 1000, "complete"]
    assert [message.result["progress"] for message in messages[1:-1]] == list(range(1, 1001))
    assert seen == messages
    assert {(m.session_id, m.task_id, m.tool_name) for m in messages} == {("chat-1", task.task_id, "count")}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", WAYS)
async def test_a_worker_in_a_thread_and_one_that_fails(
    scheme: str, mode: str, tmp_path: Path, certificates: Certificates
) -> None:
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, certificates=certificates) as served:
            async with mcpc.Client(served.uri, mode=mode, **served.options) as client:
                task = await client.start_task("count_in_thread", {"n": 20})
                assert [m.result for m in [m async for m in task][1:]] == [
                    *({"progress": i + 1} for i in range(20)),
                    {"rows": 20},
                ]
                failing = await client.start_task("fail")
                with pytest.raises(mcpc.TaskFailed, match="ValueError: no such row") as failed:
                    await failing.result()
                assert failed.value.result == {"error": "ValueError", "message": "no such row"}
                assert [m.event async for m in failing] == ["created", "update", "failed"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", WAYS)
async def test_a_running_task_is_modified_asked_by_and_stopped(
    scheme: str, mode: str, tmp_path: Path, certificates: Certificates
) -> None:
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, certificates=certificates) as served:
            async with mcpc.Client(served.uri, mode=mode, **served.options) as client:
                task = await client.start_task("wait_for_input")
                values: list[Any] = [{"focus": "subset"}, None, [1, None, {"a": None}], "text"]
                for value in values:
                    await task.send(value)
                await task.send("done")
                assert await task.result() == values

                client.on_prompt(lambda prompt: (prompt.choices or [None])[1])
                asking = await client.start_task("ask")
                assert await asking.result() == {"answer": "b"}

                stopped = await client.start_task("wait_for_input")
                await stopped.stop()
                with pytest.raises(mcpc.TaskStopped):
                    await stopped.result()
                with pytest.raises(mcpc.TaskEnded):
                    await stopped.send("too late")
                await stopped.stop()  # after the end: nothing happens


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_sdks_own_client_works_and_a_background_tool_gives_it_progress_and_the_result(
    scheme: str, mode: str, tmp_path: Path, certificates: Certificates
) -> None:
    reported: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total, message))

    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, certificates=certificates) as served:
            async with mcp.Client(mcpc.connect(served.uri, **served.options), mode=mode) as client:
                tools = {tool.name for tool in (await client.list_tools()).tools}
                assert {"count", "add"} <= tools
                assert not {"_mcpc_init", "is_mcpc_enabled"} & tools
                assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
                result = await client.call_tool("count", {"n": 3}, progress_callback=on_progress)
                assert result.structured_content == {"rows": 3}
                assert not result.is_error
                failed = await client.call_tool("fail", {})
                assert failed.is_error
    assert sorted(reported) == [(float(i), 3.0, f"step {i}/3") for i in (1, 2, 3)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme in ("memory", "unix", "tcp", "ws", "http")])
async def test_our_client_gets_the_result_of_a_standard_server_through_the_same_handle(
    scheme: str, mode: str, tmp_path: Path
) -> None:
    server = MCPServer[Any]("standard", log_level="WARNING")

    @server.tool()
    async def slow(rows: int, ctx: Context[Any, Any]) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        await ctx.report_progress(1, 2, "half")
        if rows < 0:
            raise ToolError("no such table")
        return {"rows": rows}

    @server.tool()
    async def for_ever() -> None:  # pyright: ignore[reportUnusedFunction]
        await anyio.sleep_forever()

    uri = TEMPLATES[scheme].format(name="plain", tmp=tmp_path)
    with anyio.fail_after(60):
        async with listen_at(uri, PlainEndpoint(server)) as listener, mcpc.Client(listener.uri, mode=mode) as client:
            assert not client.supports_mcpc
            seen: list[mcpc.MCPCMessage] = []
            client.add_event_listener(seen.append)
            task = await client.start_task("slow", {"rows": 7})
            assert await task.result() == {"rows": 7}
            assert [message async for message in task] == seen
            assert seen[0].event == "created"
            assert seen[-1].event == "complete"
            updates = [m.result for m in seen if m.event == "update"]
            assert updates in ([{"progress": 1.0, "total": 2.0, "status": "half"}], [])  # the SDK may report it late
            failing = await client.start_task("slow", {"rows": -1})
            with pytest.raises(mcpc.TaskFailed, match="no such table"):
                await failing.result()
            endless = await client.start_task("for_ever")
            await endless.stop()
            with pytest.raises(mcpc.TaskStopped):
                await endless.result()
            with pytest.raises(mcpc.UnknownTask):
                await task.send("anything")


@pytest.mark.parametrize("scheme", WAYS)
async def test_server_events_reach_the_sessions_they_are_for(
    scheme: str, tmp_path: Path, certificates: Certificates
) -> None:
    if scheme == "stdio":
        pytest.skip("the server's helper is in the child; examples/server_events.py shows it over stdio")
    server = make_server()
    callbacks = mcpc.MCPCHelper(server)
    with anyio.fail_after(60):
        async with (
            serving(scheme, tmp_path, server, certificates) as served,
            mcpc.Client(served.uri, **served.options) as one,
            mcpc.Client(served.uri, **served.options) as two,
        ):
            seen: dict[str, list[Any]] = {"one": [], "two": []}
            both = anyio.Event()

            def note(name: str, message: mcpc.MCPCMessage) -> None:
                seen[name].append((message.event, message.result))
                if all(events and events[-1][0] == "last" for events in seen.values()):
                    both.set()

            one.add_event_listener(lambda message: note("one", message), type="server_event")
            two.add_event_listener(lambda message: note("two", message), type="server_event")
            await (await one.start_task("count", {"n": 0}, session_id="s1")).result()
            await (await two.start_task("count", {"n": 0}, session_id="s2")).result()
            assert await callbacks.emit("only-one", {"a": None}, session_id="s1") == 1
            assert await callbacks.emit("last") == 2
            await both.wait()
    assert seen == {"one": [("only-one", {"a": None}), ("last", None)], "two": [("last", None)]}


async def _connected(uri: str, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """A client that never says anything of use."""
    async with AsyncExitStack() as stack:
        opened: Any = await stack.enter_async_context(dial(uri))
        if isinstance(opened, FrameChannel):  # noise is answered, and so we know that the server reads
            await opened.send(b"{}")
            assert b"error" in await opened.receive()
        task_status.started()
        await anyio.sleep_forever()


@pytest.mark.parametrize("scheme", ["memory", "unix", "tcp", "ws", "sse+http"])
async def test_a_listener_that_ends_before_its_client_has_said_anything_leaves_no_stream_open(
    scheme: str, tmp_path: Path
) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True, action="always") as warned, anyio.fail_after(60):
        async with anyio.create_task_group() as clients:
            async with serving(scheme, tmp_path) as served:
                await clients.start(_connected, served.uri)
            clients.cancel_scope.cancel()
        gc.collect()
    assert [str(each.message) for each in warned if "Unclosed" in str(each.message)] == []
