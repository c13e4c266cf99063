"""The SDK's own everything-server at a URI, with nothing of MCPC in play but the transport.

python everything.py DIRECTORY stdio: | ws://… | unix://… | tcp://…
"""

import sys
from importlib import import_module
from typing import Any

import anyio
from mcp.server import MCPServer, Server

from mcpc.framing import Connection
from mcpc.transport import FrameChannel, Peer
from mcpc.uri import listen_at


class PlainEndpoint:
    """The SDK's server behind one of our listeners."""

    def __init__(self, server: MCPServer[Any]) -> None:
        self.server: Server[Any] = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        """One connection."""
        async with Connection(channel, side="server").open() as connection:
            await self.serve_streams(*connection.streams, peer)

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        """One connection."""
        await self.server.run(read, write, self.server.create_initialization_options())


async def main(server: MCPServer[Any], uri: str) -> None:
    """Serve until killed."""
    async with listen_at(uri, PlainEndpoint(server)) as listener:
        print(listener.uri, flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    everything: MCPServer[Any] = import_module("mcp_everything_server.server").mcp
    if sys.argv[2] == "stdio:":
        everything.run("stdio")
    else:
        anyio.run(main, everything, sys.argv[2])
