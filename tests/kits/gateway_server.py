"""A server for the tests of the gateway: `python gateway_server.py [STORE]`, over its own stdin and stdout."""

import os
import sys
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

import mcpc

server = MCPServer[Any]("behind", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server, store=sys.argv[1] if len(sys.argv) > 1 else None)


@callbacks.tool()
async def count(n: int, task: mcpc.Task) -> dict[str, int]:
    """Count to n."""
    for number in range(1, n + 1):
        await task.update({"progress": number, "total": n})
    await callbacks.emit("counted", {"n": n}, session_id=task.session_id)
    return {"rows": n}


@callbacks.tool()
async def order(item: str, task: mcpc.Task) -> str:
    """Ask who delivers it."""
    return f"{item} from {await task.ask('From whom?', choices=['Ant Ltd', 'Bee & Co'])}"


@callbacks.tool()
async def collect(task: mcpc.Task) -> list[Any]:
    """Give back what was sent, up to `done`."""
    await task.update("ready")
    got: list[Any] = []
    async for value in task.inputs():
        if value == "done":
            break
        got.append(value)
    return got


@callbacks.tool(on_interrupt="resume")
async def wait(task: mcpc.Task) -> str:
    """Wait to be stopped; where another process began it, say so."""
    if task.resumed is not None:
        return f"went on from {task.resumed}"
    await task.checkpoint(7)
    await task.update("waiting")
    await task.stopping()
    task.check_stopped()
    return "never"


@callbacks.tool()
async def fail(task: mcpc.Task) -> None:
    """Fail."""
    raise ValueError("no such row")


@server.tool()
def pid() -> int:
    """The process."""
    return os.getpid()


@server.tool()
def die() -> None:
    """End at once, with a last word."""
    sys.stderr.write("out of paper\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool()
def refuse() -> None:
    """An error."""
    raise ToolError("nothing here")


@server.resource("stock://all")
def everything() -> str:
    """All there is."""
    return "all"


@server.resource("stock://{shelf}")
def shelf(shelf: str) -> str:
    """What is on a shelf."""
    return f"on {shelf}"


@server.prompt()
def greet(name: str) -> str:
    """Greet."""
    return f"hello {name}"


if __name__ == "__main__":
    mcpc.run(server, "stdio:")
