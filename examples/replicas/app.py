"""The server of the example: its counting is done by workers, its waiting by whichever replica was called."""

import anyio
from mcp.server import MCPServer

import mcpc

server = MCPServer("replicas", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server, lease=3.0, task_ttl=3600.0, channel_ttl=3600.0)


@callbacks.tool(run="worker", on_interrupt="resume", max_attempts=1000)
async def count(n: int, pause: float, task: mcpc.Task) -> int:
    """Count to n, and go on counting elsewhere if the process dies."""
    for number in range(task.resumed or 0, n):
        await task.update(number)
        await task.checkpoint(number + 1)
        await anyio.sleep(pause)
    return n


@callbacks.tool(run="worker", on_interrupt="restart", max_attempts=1000)
async def repeat(n: int, pause: float, task: mcpc.Task) -> int:
    """Count to n, and begin anew elsewhere if the process dies."""
    for number in range(n):
        await task.update(number)
        await anyio.sleep(pause)
    return n


@callbacks.tool()
async def wait(seconds: float, task: mcpc.Task) -> str:
    """Wait, where it was called; what was waited for is lost with the process."""
    await task.update("waits")
    await anyio.sleep(seconds)
    return "waited"
