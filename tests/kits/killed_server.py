"""A server that kills itself at the n-th time that its store comes to a step: `killed_server.py URI STORE STEP N`."""

import os
import signal
import sys
from typing import Any

from mcp.server import MCPServer

import mcpc
from mcpc.testing import FaultyStore

LAST = 12


def main(uri: str, path: str, step: str, n: str) -> None:
    """Serve until the step."""
    left = int(n)

    def reached() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    at: Any = {} if step == "never" else {step: reached}
    mcpc.register_store("killed", FaultyStore("sqlite", at=at))
    server = MCPServer[Any]("killed", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, store=f"killed:{path}", shutdown_grace=0.5)

    async def count(task: mcpc.Task) -> str:
        for number in range(task.resumed or 0, LAST):
            await task.update(number)
            await task.checkpoint(number + 1)
        return "done"

    callbacks.tool("fail")(count)
    callbacks.tool("restart", on_interrupt="restart")(count)
    callbacks.tool("resume", on_interrupt="resume")(count)
    mcpc.run(server, uri)


if __name__ == "__main__":
    main(*sys.argv[1:])
