"""A client that is given an earlier client's channel: the tasks there are its own, with all that is kept of them."""

from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc

pytestmark = pytest.mark.anyio


def _server() -> MCPServer[Any]:
    server = MCPServer[Any]("taken up", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def gather(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        await task.update({"n": 1})
        async for value in task.inputs():
            await task.update({"got": value})
            return {"last": value}
        return {}

    return server


@pytest.mark.parametrize("scheme", ["http", "ws", "tcp"])
async def test_another_client_takes_up_the_channel_and_has_the_task_from_its_beginning(
    scheme: str, anyio_backend: str
) -> None:
    place = {"http": "http://127.0.0.1:0/mcp", "ws": "ws://127.0.0.1:0/mcp", "tcp": "tcp://127.0.0.1:0"}[scheme]
    with anyio.fail_after(60):
        async with mcpc.listen(_server(), place) as served:
            async with mcpc.Client(served.uri) as first:
                begun = await first.start_task("gather")
                assert [(await anext(begun)).event for _ in range(2)] == ["created", "update"]
            second = mcpc.Client(served.uri, channel=first.channel)
            task = second.task(begun.task_id)
            async with second:
                assert (await task.state())["toolName"] == "gather"
                await task.send("enough")
                assert await task.result() == {"last": "enough"}
                assert [message.event for message in [m async for m in task]][-2:] == ["update", "complete"]


async def test_a_stranger_reaches_nothing_with_a_key_of_his_own() -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(_server(), "memory://taken-up") as served:
            async with mcpc.Client(served.uri) as first:
                begun = await first.start_task("gather")
                async with mcpc.Client(served.uri, channel="a guess of twenty signs") as stranger:
                    for attempt in (stranger.task(begun.task_id).state, stranger.task(begun.task_id).stop):
                        with pytest.raises(mcpc.UnknownTask):
                            await attempt()
                await begun.send("mine")
                assert await begun.result() == {"last": "mine"}
