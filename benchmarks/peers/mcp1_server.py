# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""A server on mcp 1.30, which has no callbacks: a tool pushes notifications while its call is open.

`notify` says which kind: `log` (`notifications/message`, whose data may be any JSON) or `progress` (the payload is
JSON inside the text).
"""

import json
import sys
import warnings

import kit
import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

todo = kit.job()
server = FastMCP("bench", log_level="ERROR")


@server.tool()
async def flood(count: int, size: int, rate: float, ctx: Context) -> int:
    """Send `count` notifications."""
    pad, pace, session, request_id = kit.padding(size), kit.Pace(rate), ctx.session, ctx.request_id
    for number in range(count):
        if rate:
            await pace.wait()
        body = kit.message(number, kit.CLOCK(), pad)
        if todo.notify == "log":
            await session.send_log_message("info", body, related_request_id=request_id)
        else:
            await ctx.report_progress(number, None, json.dumps(body, separators=(",", ":")))
    return count


gate = kit.Gate()


@server.tool()
async def gated_flood(count: int, size: int, ctx: Context) -> int:
    """The same, after `go`."""
    await gate.wait()
    return await flood(count, size, 0, ctx)


@server.tool()
async def go() -> bool:
    """Let those begin that wait."""
    gate.open()
    return True


@server.tool()
async def add(a: int, b: int) -> int:
    """A plain tool."""
    return a + b


async def over_websocket(websocket) -> None:
    """One connection, by the SDK's own WebSocket transport."""
    from mcp.server.websocket import websocket_server

    lowlevel = server._mcp_server
    async with websocket_server(websocket.scope, websocket.receive, websocket.send) as streams:
        await lowlevel.run(*streams, lowlevel.create_initialization_options())


def main() -> None:
    """Serve over what the job says."""
    warnings.simplefilter("ignore")
    if todo.transport == "stdio":
        server.run("stdio")
        return
    if todo.transport == "ws":
        app = Starlette(routes=[WebSocketRoute("/mcp", over_websocket)])
    else:
        app = server.streamable_http_app()
    kit.serve_asgi(uvicorn, app, todo)


main()
sys.exit(0)
