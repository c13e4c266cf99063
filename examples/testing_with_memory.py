"""How to test a server of yours: no sockets, no processes, nothing to clean up, and real bytes all the same."""

import anyio
import mcp
from mcp.server import MCPServer

import mcpc
from mcpc.testing import memory_pair

server = MCPServer("counter", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server, stop_grace=0.2)


@callbacks.tool()
async def count(up_to: int, task: mcpc.Task) -> int:
    """Count, with an update for each number."""
    for number in range(1, up_to + 1):
        await task.update(number)
    return up_to


async def test_updates_come_in_order() -> None:
    # A server object instead of an address is connected in memory.
    async with mcpc.Client(server) as client:
        task = await client.start_task("count", {"up_to": 100})
        updates = [message.result async for message in task if message.event == "update"]
        assert updates == list(range(1, 101))
        assert await task.result() == 100


async def test_a_plain_client_gets_progress_and_a_result() -> None:
    # An address, where the test needs several clients or one that is not ours.
    async with mcpc.listen(server, "memory://counter"), mcp.Client(mcpc.connect("memory://counter")) as client:
        result = await client.call_tool("count", {"up_to": 3})
        assert result.content[0].text == "3"


async def test_frames_cross_a_pair_of_channels_whole() -> None:
    # A pair of joined channels, where the test plays one side of the wire itself.
    ours, theirs = memory_pair()
    await ours.send(b'{"jsonrpc": "2.0", "method": "ping", "id": 1}')
    assert await theirs.receive() == b'{"jsonrpc": "2.0", "method": "ping", "id": 1}'
    await ours.aclose()
    await theirs.aclose()


if __name__ == "__main__":
    for test in (
        test_updates_come_in_order,
        test_a_plain_client_gets_progress_and_a_result,
        test_frames_cross_a_pair_of_channels_whole,
    ):
        anyio.run(test)
        print(f"passed: {test.__name__}")
