"""Peers in another language: the TypeScript SDK's WebSocket client, and servers made with it."""

import json
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcpc
from locked_kit import node
from peers_kit import WEBSOCKET_FOLDER
from support import ASYNCIO_ONLY, make_server, serving


@pytest.fixture(scope="session")
def typescript_client() -> Path:
    """The client script, beside the packages it needs."""
    return WEBSOCKET_FOLDER.ready() / "client.mjs"


@pytest.mark.anyio
async def test_the_typescript_sdks_websocket_client_works_with_our_server(
    typescript_client: Path, tmp_path: Path
) -> None:
    server = make_server()

    heard = anyio.Semaphore(0)

    @mcpc.MCPCHelper(server).tool()
    async def count_when_heard(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        # That client drops the progress that it reads together with the answer, so it says when it has heard of one.
        for i in range(n):
            await task.update({"progress": i + 1})
            await heard.acquire()
        return {"rows": n}

    @server.tool()
    async def go_on() -> None:  # pyright: ignore[reportUnusedFunction]
        heard.release()

    with anyio.fail_after(60):
        async with serving("ws", tmp_path, server) as served:
            result = await anyio.run_process([str(node()), str(typescript_client), served.uri], check=False)
    assert result.returncode == 0, result.stderr.decode()
    seen = json.loads(result.stdout)
    assert {"add", "count_when_heard"} <= set(seen["tools"])
    assert seen["sum"] == {"result": 3}
    assert seen["progress"] == [1, 2, 3]
    assert seen["counted"] == {"rows": 3}


@asynccontextmanager
async def typescript_server(way: str) -> AsyncGenerator[str]:
    """Where such a server is."""
    program = f"{WEBSOCKET_FOLDER.ready() / 'server.mjs'}"
    if way == "stdio":
        yield f"stdio:{node()} {program}"
        return
    async with await anyio.open_process([str(node()), program, "http"], stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{(await process.stdout.receive()).decode().strip()}/mcp"
        process.terminate()


@pytest.fixture(params=["stdio", "http"])
def way(request: pytest.FixtureRequest, anyio_backend_name: str) -> str:
    if request.param in ASYNCIO_ONLY and anyio_backend_name != "asyncio":
        pytest.skip("the SDK's HTTP is for asyncio")
    return request.param


def text_of(result: Any) -> str:
    return result.content[0].text


@pytest.mark.anyio
async def test_a_server_made_with_the_typescript_sdk_is_used_by_a_client_that_nobody_can_be_asked_through(
    way: str,
) -> None:
    heard: set[float] = set()
    complete = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.add(progress)  # the SDK calls each in a task of its own
        if heard == {1, 2, 3}:
            complete.set()

    with anyio.fail_after(60):
        async with typescript_server(way) as uri, mcpc.Client(uri) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["add", "ask", "count"]
            assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["greet"]
            assert [str(page.uri) for page in (await client.list_resources()).resources] == ["text://page"]
            assert text_of(await client.call_tool("add", {"a": 1, "b": 2})) == "3"
            assert text_of(await client.call_tool("ask")) == "decline"
            assert text_of(await client.call_tool("count", progress_callback=hear)) == "counted"
            await complete.wait()


@pytest.mark.anyio
async def test_a_server_made_with_the_typescript_sdk_asks_a_person_through_our_client(way: str) -> None:
    with anyio.fail_after(60):
        async with typescript_server(way) as uri, mcpc.Client(uri) as client:
            client.on_prompt(lambda prompt: {"colour": "red"})
            assert text_of(await client.call_tool("ask")) == "accept red"
            task = await client.start_task("ask")
            assert "accept red" in str(await task.result())
            assert [tool.name for tool in (await client.list_tools()).tools] == ["add", "ask", "count"]
