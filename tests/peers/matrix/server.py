"""The server that everybody's client meets. It says on its first line where it is.

Its background tools are served with nothing special; `survey` is one for hosts that wait only seconds.
"""

from collections import defaultdict
from typing import Any

import anyio
from mcp.server import MCPServer

import mcpc

server = MCPServer[Any]("matrix", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)
reached_events: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
stopped_events: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)


@callbacks.tool()
async def count(n: int, task: mcpc.Task) -> dict[str, int]:
    """Tell of each row."""
    for row in range(n):
        await task.update({"progress": row + 1, "total": n, "status": f"row {row + 1}"})
    return {"rows": n}


@callbacks.tool()
async def choose(task: mcpc.Task) -> str:
    """Ask the caller."""
    answer = await task.ask("a or b?", choices=["a", "b"])
    return f"chosen: {answer}"


@callbacks.tool()
async def fails(task: mcpc.Task) -> None:
    """Fail."""
    raise ValueError("no such row")


@callbacks.tool()
async def hangs(name: str, task: mcpc.Task) -> None:
    """Work until stopped."""
    reached_events[name].set()
    try:
        await anyio.sleep_forever()
    finally:
        stopped_events[name].set()


@callbacks.tool(plain="handle", after=0.3)
async def survey(task: mcpc.Task) -> str:
    """Tell, wait to be sent something, ask, and end: for a host that does not wait."""
    await task.update("half done")
    await anext(task.inputs())
    return f"surveyed: {await task.ask('a or b?', choices=['a', 'b'])}"


@server.tool()
async def reached(name: str) -> bool:
    """Wait until `hangs` runs."""
    await reached_events[name].wait()
    return True


@server.tool()
async def was_stopped(name: str) -> bool:
    """Wait until `hangs` was stopped."""
    with anyio.move_on_after(30):
        await stopped_events[name].wait()
    return stopped_events[name].is_set()


async def main() -> None:
    async with mcpc.listen(server, "http://127.0.0.1:0/mcp") as listener:
        print(listener.uri, flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
