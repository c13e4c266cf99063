"""Servers that kill themselves at the n-th time that their store comes to a step.

`python killed_server.py` imports all and forks a server for each line of its input
(address, store, step and n, as JSON), and writes its process id: a matrix of a
thousand kills has no time for imports.
"""

import json
import os
import signal
import sys
from typing import Any

from mcp.server import MCPServer

import mcpc
from mcpc.store_uri import resolve_store
from mcpc.testing import FaultyStore
from mcpc.uri import resolve

LAST = 12
ASKS_AT = 6
"""Before which number the worker asks whether it shall go on."""


def main(uri: str, path: str, step: str, n: int) -> None:
    """Serve until the step."""
    left = n

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
            if number == ASKS_AT:
                assert await task.ask("Go on?", choices=["yes", "no"], key="on") == "yes"
            await task.update(number)
            await task.checkpoint(number + 1)
        return "done"

    callbacks.tool("fail")(count)
    callbacks.tool("restart", on_interrupt="restart")(count)
    callbacks.tool("resume", on_interrupt="resume")(count)
    mcpc.run(server, uri)


def fork_for_ever() -> None:
    """A server for each line."""
    resolve("tcp")
    resolve_store("sqlite")
    mcpc.MCPCHelper(MCPServer[Any]("warm"), store="memory:warm")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            main(*json.loads(line))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    fork_for_ever()
