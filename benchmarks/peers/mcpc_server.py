# type: ignore - it runs in its peer's environment, on versions of packages that the checker does not see
"""The server of `mcpc`: a background tool that floods, a plain one, and an event for all. Nothing is switched off."""

import sys

import anyio
import kit
import sampling
from mcp.server import MCPServer

import mcpc

URIS = {
    "stdio": "stdio:",
    "unix": "unix://{path}",
    "tcp": "tcp://127.0.0.1:0",
    "ws": "ws://127.0.0.1:0/mcp",
    "http": "http://127.0.0.1:0/mcp",
    "sse": "sse+http://127.0.0.1:0/sse",
    "memory": "memory://bench",
}


GATE = kit.Gate()


def most_tasks(todo: kit.Job) -> int:
    """How many tasks may run at once."""
    return max(1000, todo.tasks + 100)


def make_server(todo: kit.Job) -> MCPServer:
    """A server with the tools that the scenarios call."""
    server = MCPServer("bench", log_level="ERROR")
    store = todo.store.format(path=todo.path) or None
    callbacks = mcpc.MCPCHelper(
        server,
        max_tasks=most_tasks(todo),
        max_ended_tasks=max(10_000, most_tasks(todo)),
        client_share=1.0,
        store=store,
    )

    @callbacks.tool(run=todo.run)
    async def flood(task: mcpc.Task, count: int, size: int, rate: float = 0, gated: bool = False) -> int:
        pad, pace = kit.payload(todo.payload, size), kit.Pace(rate)
        if gated:
            await GATE.wait()
        for number in range(count):
            if rate:
                await pace.wait()
            await task.update(kit.result(number, pad))
        return count

    @callbacks.tool(run=todo.run)
    async def tick(task: mcpc.Task, count: int, size: int, rate: float, phase: float) -> int:
        """Send at a pace, from `phase` seconds after the gate was opened."""
        pad = kit.payload(todo.payload, size)
        await task.update(None)  # it is at the gate
        await GATE.wait()
        await anyio.sleep(phase)
        pace = kit.Pace(rate)
        for number in range(count):
            await task.update(kit.result(number, pad))
            await pace.wait()
        return count

    @callbacks.tool()
    def flood_in_thread(task: mcpc.SyncTask, count: int, size: int, rate: float = 0, gated: bool = False) -> int:
        pad = kit.payload(todo.payload, size)
        for number in range(count):
            task.update(kit.result(number, pad))
        return count

    @callbacks.tool()
    async def finish(task: mcpc.Task, number: int, delay: float) -> dict:
        """End so many seconds after the gate was opened, and tell when that was."""
        await GATE.wait()
        await anyio.sleep(delay)
        return kit.result(number, "")

    @server.tool()
    async def go() -> bool:
        """Let the tasks that wait begin."""
        GATE.open()
        return True

    @server.tool()
    async def broadcast(count: int, size: int) -> int:
        """Send events to every channel."""
        pad = kit.padding(size)
        for number in range(count):
            await callbacks.emit("notice", kit.result(number, pad))
        return count

    @server.tool()
    async def add(a: int, b: int) -> int:
        """A plain tool."""
        return a + b

    @server.tool()
    async def blob(size: int) -> str:
        """A result of so many bytes."""
        return "x" * size

    return server


async def main(todo: kit.Job) -> None:
    """Serve until we are told to end."""
    server = make_server(todo)
    uri = URIS[todo.transport]
    if todo.transport == "stdio":
        await mcpc.serve(server, uri)
        return
    async with mcpc.listen(server, uri.format(path=todo.path)) as listener:
        await until_told_to_end(lambda: kit.announce(listener.uri))


async def until_told_to_end(ready=lambda: None) -> None:
    """Open the gate at each SIGUSR1; SIGTERM is the end."""
    with anyio.open_signal_receiver(kit.signal.SIGTERM, kit.signal.SIGUSR1) as signals:
        ready()
        async for number in signals:
            if number == kit.signal.SIGTERM:
                return
            GATE.open()


if __name__ == "__main__":
    given = kit.job()
    with sampling.profiled(given, "server"):
        anyio.run(main, given, backend_options={"use_uvloop": given.uvloop})
    sys.exit(0)
