"""Bridges that lead to each other: found out, and said so."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.bridge import hub
from ports_kit import free_port

pytestmark = pytest.mark.anyio


async def test_bridges_that_lead_to_each_other_refuse_and_say_why(tmp_path: Path) -> None:
    one, other = f"unix://{tmp_path}/one.sock", f"unix://{tmp_path}/other.sock"
    with anyio.fail_after(60):
        async with mcpc.bridging(one, other), mcpc.bridging(other, one):
            with pytest.raises(Exception, match="leads back to another") as refused:
                async with mcpc.Client(one, mode="legacy"):
                    raise AssertionError("there is no server")
            assert "Traceback" not in str(refused.value)


async def test_a_row_of_bridges_is_no_loop(tmp_path: Path) -> None:
    server = MCPServer[Any]("far away", log_level="CRITICAL")
    places = [f"unix://{tmp_path}/{number}.sock" for number in range(4)]
    with anyio.fail_after(60):
        async with mcpc.listen(server, places[0]):
            async with (
                mcpc.bridging(places[1], places[0]),
                mcpc.bridging(places[2], places[1]),
                mcpc.bridging(places[3], places[2]),
                mcpc.Client(places[3]) as client,
            ):
                assert (await client.list_tools()).tools == []


SCHEMES = {
    "http": "http://127.0.0.1:{port}/mcp",
    "sse+http": "sse+http://127.0.0.1:{port}/sse",
    "ws": "ws://127.0.0.1:{port}/mcp",
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("come", "go", "mode", "shared"),
    [
        ("http", "http", "legacy", False),
        ("http", "http", "auto", False),
        ("sse+http", "sse+http", "auto", False),
        ("http", "ws", "legacy", False),
        ("http", "http", "legacy", True),
        ("http", "http", "auto", True),
        ("sse+http", "ws", "auto", True),
    ],
)
async def test_a_loop_over_any_transport_is_refused_with_an_error_that_says_so(
    come: str, go: str, mode: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LOOP_PATIENCE", 0.2)
    # each end of a loop must be known before the other is there
    one, other = (SCHEMES[scheme].format(port=free_port()) for scheme in (come, go))
    with anyio.fail_after(280):
        async with mcpc.bridging(one, other, shared=shared), mcpc.bridging(other, one, shared=shared):
            with pytest.raises(Exception, match="leads back to another"):
                async with mcpc.Client(one, mode=mode, open_timeout=60):
                    raise AssertionError("there is no server")
