# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""A server on mcp 2.3 alone, without callbacks: a tool pushes notifications while its call is open.

`notify` says which kind: `log` (`notifications/message`, whose data may be any JSON), `progress` (the payload is JSON
inside the text) or `custom` (a vendor's method; the client queues 256 and then drops the oldest).
"""

import sys
import warnings
from typing import Any

import kit
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import Notification
from pydantic_core import to_json

CUSTOM_METHOD = "notifications/bench/update"


async def push(todo: kit.Job, ctx: Context, number: int, pad: str) -> None:
    """Send one notification of the kind that the job says."""
    body = kit.message(number, kit.CLOCK(), pad)
    session = ctx.request_context.session
    if todo.notify == "log":
        await session.send_log_message("info", body, related_request_id=ctx.request_id)
    elif todo.notify == "progress":
        await session.report_progress(number, None, to_json(body).decode())
    else:
        update = Notification[dict[str, Any], str](method=CUSTOM_METHOD, params=body)
        await session.send_notification(update, related_request_id=ctx.request_id)


def make_server(todo: kit.Job) -> MCPServer:
    """A server with the tools that the scenarios call."""
    server = MCPServer("bench", log_level="ERROR")
    gate = kit.Gate()

    @server.tool()
    async def flood(count: int, size: int, ctx: Context, rate: float = 0, gated: bool = False) -> int:
        """Send `count` notifications."""
        if gated:
            await gate.wait()
        pad, pace = kit.padding(size), kit.Pace(rate)
        for number in range(count):
            if rate:
                await pace.wait()
            await push(todo, ctx, number, pad)
        return count

    @server.tool()
    async def go() -> bool:
        """Let those begin that wait."""
        gate.open()
        return True

    @server.tool()
    async def add(a: int, b: int) -> int:
        """A plain tool."""
        return a + b

    @server.tool()
    async def blob(size: int) -> str:
        """A result of so many bytes."""
        return "x" * size

    return server


def main() -> None:
    """Serve over what the job says."""
    todo = kit.job()
    server = make_server(todo)
    if todo.transport == "stdio":
        server.run("stdio")
        return
    import uvicorn

    kit.serve_asgi(uvicorn, server.streamable_http_app(), todo)


warnings.simplefilter("ignore")  # logging is deprecated in this protocol version, and works
if __name__ == "__main__":
    main()
    sys.exit(0)
