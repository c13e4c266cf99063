"""A peer in another language: the TypeScript SDK's WebSocket client against our server."""

import json
from pathlib import Path

import anyio
import pytest

import mcpc
from locked_kit import node
from peers_kit import WEBSOCKET_FOLDER
from support import make_server, serving


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
