"""Any transport in, any transport out: what is promised of a connection is promised of a bridged one."""

import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import mcp
import pytest
from mcp.server import Server

import mcpc
from mcpc.transport import FrameChannel, Peer
from mcpc.uri import dial, listen_at
from support import ASYNCIO_ONLY, HERE, TEMPLATES, Served, make_server, serving

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy"]
ROUTES = [
    ("memory", "memory"),
    ("unix", "ws"),
    ("tcp", "unix"),
    ("ws", "stdio"),
    ("http", "tcp"),
    ("http", "stdio"),
    ("memory", "http"),
    ("http", "http"),
    ("sse+http", "memory"),
    ("unix", "sse+http"),
]
SHARED_ROUTES = [("memory", "tcp"), ("http", "memory")]
ALL_ROUTES = [(*route, False) for route in ROUTES] + [(*route, True) for route in SHARED_ROUTES]


@pytest.fixture(autouse=True)
def only_where_both_ends_can_run(request: pytest.FixtureRequest) -> None:
    """HTTP listeners need asyncio."""
    parameters: dict[str, Any] = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("anyio_backend") == "trio" and ASYNCIO_ONLY & {
        value for value in parameters.values() if isinstance(value, str)
    }:
        pytest.skip("HTTP is served on asyncio only")


def listen_uri(scheme: str, tmp_path: Path) -> str:
    return TEMPLATES[scheme].format(name="bridge", tmp=tmp_path, python=sys.executable, here=HERE)


@asynccontextmanager
async def bridged(come: str, go: str, tmp_path: Path, *, shared: bool = False) -> AsyncGenerator[str]:
    """The address of a bridge from one scheme to the test server at another."""
    async with (
        serving(go, tmp_path) as served,
        mcpc.bridging(listen_uri(come, tmp_path), served.uri, shared=shared) as listener,
    ):
        yield listener.uri


# --- what is promised of every transport ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("come", "go", "shared"), ALL_ROUTES)
async def test_a_thousand_updates_cross_in_order(
    come: str, go: str, shared: bool, mode: str, tmp_path: Path
) -> None:
    with anyio.fail_after(30):
        async with (
            bridged(come, go, tmp_path, shared=shared) as uri,
            mcpc.Client(uri, mode=mode) as client,
        ):
            task = await client.start_task("count", {"n": 1000}, session_id="chat-1")
            messages = [message async for message in task]
            assert await task.result() == {"rows": 1000}
    assert [message.event for message in messages] == ["created", *["update"] * 1000, "complete"]
    assert [message.result["progress"] for message in messages[1:-1]] == list(range(1, 1001))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("come", "go", "shared"), ALL_ROUTES)
async def test_a_task_behind_a_bridge_is_modified_asked_by_and_stopped(
    come: str, go: str, shared: bool, mode: str, tmp_path: Path
) -> None:
    with anyio.fail_after(30):
        async with (
            bridged(come, go, tmp_path, shared=shared) as uri,
            mcpc.Client(uri, mode=mode) as client,
        ):
            task = await client.start_task("wait_for_input")
            await task.send({"focus": "subset"})
            await task.send("done")
            assert await task.result() == [{"focus": "subset"}]
            client.on_prompt(lambda prompt: (prompt.choices or [None])[1])
            assert await (await client.start_task("ask")).result() == {"answer": "b"}
            stopped = await client.start_task("wait_for_input")
            await stopped.stop()
            with pytest.raises(mcpc.TaskStopped):
                await stopped.result()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("come", "go", "shared"), ALL_ROUTES)
async def test_the_sdks_own_client_gets_progress_and_results_through_a_bridge(
    come: str, go: str, shared: bool, mode: str, tmp_path: Path
) -> None:
    reported: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total, message))

    with anyio.fail_after(30):
        async with (
            bridged(come, go, tmp_path, shared=shared) as uri,
            mcp.Client(mcpc.connect(uri), mode=mode) as client,
        ):
            assert {"count", "add"} <= {tool.name for tool in (await client.list_tools()).tools}
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
            result = await client.call_tool("count", {"n": 3}, progress_callback=on_progress)
            assert result.structured_content == {"rows": 3}
            assert (await client.call_tool("fail", {})).is_error
    assert sorted(reported) == [(float(i), 3.0, f"step {i}/3") for i in (1, 2, 3)]
