"""What `listen` yields: the address, the server's name, and its end."""

from typing import Any

import anyio
import pytest
from mcp.server import MCPServer, Server

import mcpc

pytestmark = pytest.mark.anyio


async def test_a_server_of_two_addresses_is_wound_down_while_both_are_open() -> None:
    server = MCPServer[Any]("twice served", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, shutdown_grace=60)

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()
        return "stopped in good order"

    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://served") as one, mcpc.listen(server, "tcp://127.0.0.1:0") as two:
            assert (one.name, one.uri) == ("twice served", "memory://served")
            assert not two.uri.endswith(":0")
            async with mcpc.Client(one.uri) as near, mcpc.Client(two.uri) as far:
                tasks = [await near.start_task("wait"), await far.start_task("wait")]
                await one.wind_down()
                for task in tasks:
                    with pytest.raises(mcpc.TaskStopped) as stopped:
                        await task.result()
                    assert stopped.value.result["result"] == "stopped in good order"


async def test_an_address_that_does_not_end_by_itself_is_never_finished() -> None:
    server = MCPServer[Any]("lasting", log_level="CRITICAL")
    async with mcpc.listen(server, "memory://lasting") as served:
        async with mcpc.Client(served.uri):
            pass
        with anyio.move_on_after(0) as scope:
            await served.finished()
        assert scope.cancelled_caught


async def test_what_can_be_served_is_told_and_nothing_is_added_to_it() -> None:
    lowlevel = Server[Any]("plain")
    before = list(lowlevel.middleware), dict(lowlevel.extensions)
    assert mcpc.is_server(lowlevel)
    assert mcpc.is_server(MCPServer[Any]("another"))
    assert not any(mcpc.is_server(other) for other in (None, 3, "server", object(), MCPServer))
    assert (list(lowlevel.middleware), dict(lowlevel.extensions)) == before
