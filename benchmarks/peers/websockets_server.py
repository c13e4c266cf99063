# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The `websockets` library alone: one text frame a message. What a WebSocket in Python can carry.

It obeys one command a message: JSON with `count`, `size`, `rate` and `all` (send to every connection at once, by
`websockets.broadcast`).
"""

import asyncio
import json

import kit
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def flood(connection: ServerConnection, order: dict) -> None:
    """Send the messages. The payload is encoded once; only the number and the time are new in each."""
    pad, pace, rate = kit.padding(order["size"]), kit.Pace(order["rate"]), order["rate"]
    before, after = json.dumps(kit.message(0, 0, pad), separators=(",", ":")).split('"n":0,"t":0')
    everyone = connection.server.connections if order["all"] else None
    for number in range(order["count"]):
        if rate:
            await pace.wait()
        text = f'{before}"n":{number},"t":{kit.CLOCK()}{after}'
        if everyone is None:
            await connection.send(text)
        else:
            broadcast(everyone, text)
            await asyncio.sleep(0)


async def obey(connection: ServerConnection) -> None:
    """Obey the commands of one connection."""
    async for command in connection:
        await flood(connection, json.loads(command))


async def main() -> None:
    """Serve until we are told to end. Without compression, which would only cost."""
    async with serve(obey, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        kit.announce(f"ws://127.0.0.1:{port}/mcp")
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
