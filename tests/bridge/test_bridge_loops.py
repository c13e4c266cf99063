"""Bridges that lead to each other: found out, and said so."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc

pytestmark = pytest.mark.anyio


async def test_bridges_that_lead_to_each_other_refuse_and_say_why(tmp_path: Path) -> None:
    one, other = f"unix://{tmp_path}/one.sock", f"unix://{tmp_path}/other.sock"
    with anyio.fail_after(30):
        async with mcpc.bridging(one, other), mcpc.bridging(other, one):
            with pytest.raises(Exception, match="leads back to another") as refused:
                async with mcpc.Client(one, mode="legacy"):
                    raise AssertionError("there is no server")
            assert "Traceback" not in str(refused.value)


async def test_a_row_of_bridges_is_no_loop(tmp_path: Path) -> None:
    server = MCPServer[Any]("far away", log_level="CRITICAL")
    places = [f"unix://{tmp_path}/{number}.sock" for number in range(4)]
    with anyio.fail_after(30):
        async with mcpc.listen(server, places[0]):
            async with (
                mcpc.bridging(places[1], places[0]),
                mcpc.bridging(places[2], places[1]),
                mcpc.bridging(places[3], places[2]),
                mcpc.Client(places[3]) as client,
            ):
                assert (await client.list_tools()).tools == []
