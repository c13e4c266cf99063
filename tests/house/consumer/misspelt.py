"""What a user may misspell: each line that is ignored is an error, or else the ignoring is one. Checked, not run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from mcp.server import MCPServer

import mcpc

server = MCPServer("consumer")
callbacks = mcpc.MCPCHelper(server, max_task=10)  # type: ignore
other = mcpc.MCPCHelper(server, plain="weit")  # type: ignore


@callbacks.tool(desciption="Works.")  # type: ignore
async def job(n: int, task: mcpc.Task) -> int:
    """A worker."""
    await task.updat(1)  # type: ignore
    return n


@callbacks.tool(on_interrupt="reset")  # type: ignore
async def again(task: mcpc.Task) -> int:
    """A worker."""
    return 1


def told(state: int) -> None:
    """A callback that takes something else."""


async def use() -> None:
    """A client."""
    mcpc.Client("ws://127.0.0.1:1/mcp", tokn="t")  # type: ignore
    mcpc.Client("ws://127.0.0.1:1/mcp", token=3)  # type: ignore
    mcpc.Client("ws://127.0.0.1:1/mcp", on_connection=told)  # type: ignore
    mcpc.connect("ws://127.0.0.1:1/mcp", header={"a": "b"})  # type: ignore
    async with mcpc.Client("ws://127.0.0.1:1/mcp") as client:
        client.add_event_listener(print, task="t")  # type: ignore
        client.add_event_listener(print, type="tusk")  # type: ignore
        client.add_event_listener(print, overflow="drop")  # type: ignore
        await client.start_task("job", {"n": 3}, sesion_id="s")  # type: ignore
        task = await client.start_task("job", {"n": 3}, session_id="s")
        await task.reslt()  # type: ignore
        state = await task.state()
        print(state["statsu"])  # type: ignore
        await client.call_tool("job", {"n": 3}, mta={"k": "v"})  # type: ignore


async def listen() -> None:
    """A listener."""
    mcpc.listen(server, "ws://127.0.0.1:0/mcp", allowed_origin=["*"])  # type: ignore
    await mcpc.serve(server, "ws://127.0.0.1:0/mcp", alowed_origins=["*"])  # type: ignore
    mcpc.run(server, "ws://127.0.0.1:0/mcp", backend="curio")  # type: ignore
    mcpc.asgi_app(server, pth="/mcp")  # type: ignore
