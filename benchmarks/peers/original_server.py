# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The server of the original, mcpc 0.2.6 on mcp 1.6.0: callbacks are lines written to stdout by the worker itself."""

import kit
from mcp.server import FastMCP

from mcpc import MCPCHelper, MCPCToolParameters

server = FastMCP("bench", log_level="ERROR")
callbacks = MCPCHelper(server)


@server.tool()
async def flood(count: int, size: int, rate: float, mcpc_params: MCPCToolParameters) -> str:
    """Start a worker that sends `count` updates."""
    who = {"tool_name": "flood", "session_id": mcpc_params.session_id, "task_id": mcpc_params.task_id}

    async def worker():
        pad, pace = kit.padding(size), kit.Pace(rate)
        for number in range(count):
            if rate:
                await pace.wait()
            yield callbacks.create_task_event("update", result=kit.result(number, pad), **who)
        yield callbacks.create_task_event("complete", result=count, **who)

    await callbacks.start_task(mcpc_params.task_id, worker)
    return callbacks.create_task_event("created", result="started", **who).model_dump_json()


@server.tool()
async def add(a: int, b: int) -> int:
    """A plain tool."""
    return a + b


server.run("stdio")
