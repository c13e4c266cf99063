"""The SDK's own everything-server, served over HTTP by the SDK itself, as it comes or with our helper added.

What it passes without us it must pass with us. (Its own HTTP app is used, as some scenarios want its event store.)

    python everything_http.py DIRECTORY [with-helper]
"""

import socket
import sys
import threading
import time
from importlib import import_module
from typing import Any

import mcpc


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def tell_when_up(port: int) -> None:
    """Say the address once somebody listens there."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    print(f"http://127.0.0.1:{port}/mcp", flush=True)


def add_helper(server: Any) -> None:
    """Add our helper, and a background tool."""
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def background(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        """Work on in the background."""
        return "done"


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    everything: Any = import_module("mcp_everything_server.server")
    if sys.argv[2:] == ["with-helper"]:
        add_helper(everything.mcp)
    port = free_port()
    threading.Thread(target=tell_when_up, args=(port,), daemon=True).start()
    everything.main(["--port", str(port), "--log-level", "ERROR"])
