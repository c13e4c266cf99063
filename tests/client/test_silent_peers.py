"""A peer that takes a connection and says nothing: opening one ends, over every transport, with an error of ours."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.transport import FrameChannel, Peer
from mcpc.uri import listen_at

pytestmark = pytest.mark.anyio

DEADLINE = 60
SILENT_COMMAND = f"stdio:{sys.executable} -c 'import sys; sys.stdin.read()'"


class Silent:
    """Serves connections without a word."""

    server: Any = None

    def __init__(self) -> None:
        self.connections = 0

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        self.connections += 1
        await anyio.sleep_forever()

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        raise NotImplementedError


@asynccontextmanager
async def silence(scheme: str, folder: Path) -> AsyncGenerator[str]:
    """Where a silent peer is."""
    if scheme == "stdio":
        yield SILENT_COMMAND
        return
    place = {"memory": "memory://silent", "unix": f"unix://{folder}/s"}.get(scheme, f"{scheme}://127.0.0.1:0")
    async with listen_at(place, Silent()) as listener:
        yield listener.uri


@pytest.mark.parametrize("scheme", ["memory", "stdio", "unix", "tcp", "ws"])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_peer_that_never_answers_the_handshake_is_given_up(scheme: str, mode: Any, tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with silence(scheme, tmp_path) as uri:
            with pytest.raises(mcpc.ConnectFailed, match="did not answer"):
                async with mcpc.Client(uri, mode=mode, open_timeout=0.3):
                    pass


async def test_what_is_cancelled_while_it_opens_is_cancelled_and_not_late(tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with silence("unix", tmp_path) as uri:
            with anyio.move_on_after(0.1) as scope:
                async with mcpc.Client(uri):
                    pass
            assert scope.cancelled_caught


async def test_the_bound_is_on_opening_and_not_on_what_follows(tmp_path: Path) -> None:
    server = mcpc_server()
    said: Any = None
    with anyio.fail_after(2 * DEADLINE):
        async with mcpc.listen(server, f"unix://{tmp_path}/s") as listener:
            for seconds in (0.5, 4.0, 30.0):  # a busy machine may need longer to open it
                with suppress(mcpc.ConnectFailed):
                    async with mcpc.Client(listener.uri, open_timeout=seconds) as client:
                        said = (await client.call_tool("rest", {"seconds": seconds + 0.3})).structured_content
                        break
    assert said == {"result": "rested"}


def mcpc_server() -> Any:
    server = MCPServer("s")

    @server.tool()
    async def rest(seconds: float) -> str:
        await anyio.sleep(seconds)
        return "rested"

    return server
