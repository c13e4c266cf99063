"""Events that no task sends: to every client, or to those in one conversation."""

import sys
from functools import partial

import anyio
from mcp.server import MCPServer

import mcpc

server = MCPServer("mailroom", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)


@server.tool()
def join(room: str) -> str:
    """Enter a conversation; calling any tool in a session does."""
    return f"welcome to {room}"


def show(name: str, message: mcpc.MCPCMessage) -> None:
    print(f"{name} hears {message.event}: {message.result}")


async def main(uri: str) -> None:
    async with (
        mcpc.listen(server, uri) as listener,
        mcpc.Client(listener.uri) as ann,
        mcpc.Client(listener.uri) as bob,
    ):
        ann.add_event_listener(partial(show, "ann"), type="server_event")
        bob.add_event_listener(partial(show, "bob"), type="server_event")
        await (await ann.start_task("join", {"room": "post"}, session_id="post")).result()

        everybody = await callbacks.emit("notification", {"text": "closing at five"})
        some = await callbacks.emit("file_arrived", {"name": "letter.pdf"}, session_id="post")
        # One more round trip each, so that all that was sent before it is here.
        for client in (ann, bob):
            await client.call_tool("join", {"room": "hall"})
        print(f"sent to {everybody} clients, and to {some}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:0/mcp")
