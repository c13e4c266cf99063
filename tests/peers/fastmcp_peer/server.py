# type: ignore - it runs in an environment of its own, on versions of packages that the checker does not see
"""A task server that is not ours: FastMCP's (`fastmcp-tasks`, SEP-2663). Over HTTP it says where it is.

python server.py stdio | http
"""

import asyncio
import collections
import socket
import sys
from datetime import timedelta

import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.utilities.tasks import TaskConfig
from fastmcp_tasks import TasksExtension
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult

server = FastMCP("fastmcp-tasks")
server.add_extension(TasksExtension(url="memory://"))
often = timedelta(milliseconds=50)
as_task = TaskConfig(mode="optional", poll_interval=often)
only_as_task = TaskConfig(mode="required", poll_interval=often)
gates = collections.defaultdict(asyncio.Event)
cancelled = collections.defaultdict(asyncio.Event)


@server.tool(task=as_task)
async def analyse(rows: int, ctx: Context, until: str = "") -> dict[str, int]:
    """Tell a status; wait until released, where a name is given."""
    await ctx.report_progress(1, 2, f"half of {rows} rows")
    try:
        if until:
            await gates[until].wait()
    except asyncio.CancelledError:
        cancelled[until].set()
        raise
    return {"rows": rows}


@server.tool(task=only_as_task)
async def fails() -> None:
    """Fail, as tools do."""
    raise ToolError("no such row")


@server.tool(task=only_as_task)
async def breaks() -> None:
    """Fail with an error of the protocol."""
    raise MCPError(-32603, "rate limit exceeded")


@server.tool(task=as_task)
async def choose(ctx: Context):
    """Ask who is there."""
    answer = (ctx.input_responses or {}).get("who")
    if isinstance(answer, ElicitResult):
        return f"{answer.action}: {(answer.content or {}).get('name')}"
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    params = ElicitRequestFormParams(message="Who are you?", requested_schema=schema)
    return InputRequiredResult(input_requests={"who": ElicitRequest(params=params)})


@server.tool
async def release(name: str) -> str:
    """Let a task go on."""
    gates[name].set()
    return "released"


@server.tool
async def until_cancelled(name: str) -> str:
    """Wait until a task was cancelled in the midst of its work."""
    await cancelled[name].wait()
    return "cancelled"


def serve_http() -> None:
    """Serve on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(server.http_app(), log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve_http()
    else:
        server.run("stdio", show_banner=False)
