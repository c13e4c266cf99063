"""A server is killed (-9) in the middle of two tasks and started again; its client sees one unbroken sequence.

The server keeps its tasks and logs in a SQLite file (`store="sqlite:…"`). A tool made with `on_interrupt="resume"`
goes on from its last checkpoint; the question that it had asked with a key is not asked again. A tool that may not
run again ends once, as interrupted. Run it: `python survive.py` (or `python survive.py http`).
"""

import socket
import subprocess
import sys
import tempfile

import anyio
from mcp.server import MCPServer

import mcpc

LAST = 40
KILLED_AT = 10


def serve(uri: str, store: str) -> None:
    """Serve two tools that count, with a store."""
    server = MCPServer("survivor", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, store=store)

    @callbacks.tool(on_interrupt="resume")
    async def count(task: mcpc.Task) -> str:
        """Count, and go on counting if the process dies."""
        last = await task.ask("How far?", key="how far")
        first = task.resumed or 1
        for number in range(first, last + 1):
            await task.update(number)
            await task.checkpoint(number + 1)
            if number == KILLED_AT and task.resumed is None:
                await anyio.sleep_forever()  # the client will see to it that this is the end
            await anyio.sleep(0.02)
        return f"went on at {first}" if first > 1 else "was never interrupted"

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> None:
        """Wait for ever; what was waited for is lost with the process."""
        await task.stopping()

    mcpc.run(server, uri)


def start(uri: str, store: str) -> "subprocess.Popen[bytes]":
    """Start the server as a process of its own."""
    return subprocess.Popen([sys.executable, __file__, "serve", uri, store])


async def client(uri: str, store: str) -> None:
    """Start two tasks, kill the server in the middle, start it again, and see how they end."""
    numbers: list[int] = []
    asked: list[str] = []
    process = start(uri, store)
    try:
        await until_served(uri)
        async with mcpc.Client(uri, reconnect_timeout=None) as client:

            async def answer(prompt: mcpc.Prompt) -> int:
                asked.append(prompt.message)
                return LAST

            client.on_prompt(answer)
            waiting = await client.start_task("wait")
            counting = await client.start_task("count")
            async for message in counting:
                if message.event != "update" or not isinstance(message.result, int):
                    continue
                numbers.append(message.result)
                if message.result == KILLED_AT:
                    process.kill()
                    process.wait()
                    print("the server is dead; a new one is started")
                    process = start(uri, store)
            result = await counting.result()
            print(f"numbers {numbers[0]} to {numbers[-1]}, unbroken: {numbers == list(range(1, LAST + 1))}")
            print("the worker went on from its checkpoint:", result.startswith("went on at"))
            print("asked:", len(asked))
            try:
                await waiting.result()
            except mcpc.TaskInterrupted as error:
                print("the other task was interrupted:", error)
    finally:
        process.terminate()
        process.wait()


async def until_served(uri: str) -> None:
    """Wait until a new server listens."""
    while True:
        try:
            async with mcpc.Client(uri, reconnect=False):
                return
        except mcpc.ConnectFailed:
            await anyio.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3])
    else:
        scheme = sys.argv[1] if len(sys.argv) > 1 else "ws"
        with tempfile.TemporaryDirectory() as folder:
            anyio.run(client, f"{scheme}://127.0.0.1:{free_port()}/mcp", f"sqlite:{folder}/tasks.db")
