"""The test server as a process of its own at any address; prints where it can be dialled."""

import sys

import anyio

import mcpc
from support import make_server


async def main() -> None:
    server = make_server()

    @server.tool()
    async def sleep_for_ever() -> None:  # pyright: ignore[reportUnusedFunction]
        await anyio.sleep_forever()

    async with mcpc.listen(server, sys.argv[1]) as listener:
        print(listener.uri, flush=True)
        await anyio.sleep_forever()


anyio.run(main)
