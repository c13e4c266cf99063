"""The server of `mcpc bench`: one background tool that sends for a while, at a rate or as fast as it may."""

import time
from typing import Any

import anyio
from mcp.server import MCPServer

import mcpc

__all__ = ["server"]

server: MCPServer[Any] = MCPServer("bench", log_level="ERROR")
callbacks: mcpc.MCPCHelper = mcpc.MCPCHelper(server)


@callbacks.tool()
async def send(seconds: float, rate: int, size: int, task: mcpc.Task) -> int:
    """Send updates of `size` bytes for `seconds`, `rate` a second or (0) without a pause; how many it were."""
    padding = _padding(size, task)
    start = time.perf_counter()
    sent = 0
    while time.perf_counter() - start < seconds:
        if rate:
            await anyio.sleep(max(0, start + sent / rate - time.perf_counter()))
        # The clock is the same for all processes of a machine, so the client can compare it with its own.
        await task.update({"n": sent, "t": time.perf_counter_ns(), "padding": padding})
        sent += 1
    return sent


def _padding(size: int, task: mcpc.Task) -> str:
    """What makes a whole message `size` bytes long."""
    result = {"n": 1000, "t": time.perf_counter_ns(), "padding": ""}
    empty = mcpc.MCPCMessage(
        event="update", session_id=task.session_id, task_id=task.task_id, tool_name="send", result=result
    )
    return "x" * max(0, size - len(empty.model_dump_json()))
