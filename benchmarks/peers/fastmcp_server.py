# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""A server on FastMCP 4: a tool reports progress while its call is open; the payload is JSON inside the text."""

import sys

import kit
import uvicorn
from fastmcp import Context, FastMCP
from pydantic_core import to_json

todo = kit.job()
server = FastMCP("bench")


@server.tool
async def flood(count: int, size: int, ctx: Context, rate: float = 0) -> int:
    """Send `count` notifications."""
    pad, pace = kit.padding(size), kit.Pace(rate)
    for number in range(count):
        if rate:
            await pace.wait()
        body = kit.message(number, kit.CLOCK(), pad)
        await ctx.report_progress(number, None, to_json(body).decode())
    return count


@server.tool
async def add(a: int, b: int) -> int:
    """A plain tool."""
    return a + b


if __name__ == "__main__":
    if todo.transport == "stdio":
        server.run("stdio", show_banner=False)
    else:
        kit.serve_asgi(uvicorn, server.http_app(path="/mcp"), todo)
    sys.exit(0)
