"""MCP Events (experimental) as a client of others sees them: the AI SDK lists; beyond that it knows webhooks only."""

import json

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from locked_kit import node
from matrix_kit import NODE_FOLDER
from mcpc.experimental import serve_events
from peers_kit import ONLY_BY_MAKE_PEERS

pytestmark = [ONLY_BY_MAKE_PEERS, pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def test_the_ai_sdk_lists_what_is_offered() -> None:
    script = NODE_FOLDER.ready() / "events.mjs"
    server = MCPServer("office", log_level="WARNING")
    mcpc.MCPCHelper(server)
    serve_events(server, {"file_arrived": "A file has arrived"})
    with anyio.fail_after(60):
        async with mcpc.listen(server, "http://127.0.0.1:0/mcp") as listener:
            result = await anyio.run_process([str(node()), str(script), listener.uri], check=False)
    assert result.returncode == 0, result.stderr.decode()
    listed = json.loads(result.stdout)
    assert [(each["name"], each["delivery"]) for each in listed] == [
        ("file_arrived", ["poll", "push"]),
        ("task.ended", ["poll", "push"]),
    ]
