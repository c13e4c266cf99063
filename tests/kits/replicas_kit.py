"""Several servers on one store in one process, clients of theirs, and a Redis that can be cut off or replaced."""

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from mcp.server import MCPServer

import mcpc
from redis_kit import RedisServer
from relay import Relay

__all__ = [
    "Collected",
    "Front",
    "Replica",
    "asked_by",
    "caller_without_ears",
    "front_of",
    "is_listened_to",
    "next_update",
    "served",
    "until",
    "until_true",
]


class Replica:
    """One of several servers with the same tools."""

    def __init__(self, store: str, **limits: Any) -> None:
        self.server = MCPServer[Any]("replica", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, store=store, **limits)
        self.uri = ""
        self.left = anyio.Event()
        """Set when a worker of `steps` was left."""

        @self.callbacks.tool()
        async def count(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
            for number in range(n):
                await task.update(number)
            return {"rows": n}

        @self.callbacks.tool()
        async def gather(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
            got = [await task.ask("Which?", choices=["a", "b"])]
            async for value in task.inputs():
                if value == "done":
                    break
                got.append(value)
            return got

        @self.callbacks.tool()
        async def steps(n: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
            try:
                async for number in task.inputs():
                    await task.update(number)
                    if number == n:
                        break
            finally:
                self.left.set()
            return n

        @self.callbacks.tool("steps_again", on_interrupt="resume")
        async def steps_again(n: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
            async for number in task.inputs():
                await task.update(number)
                await task.checkpoint(number)
                if number == n:
                    break
            return n

        @self.callbacks.tool()
        async def wait(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
            await task.stopping()


@asynccontextmanager
async def served(*replicas: Replica) -> AsyncGenerator[None]:
    async with mcpc.listen(replicas[0].server, "tcp://127.0.0.1:0") as listener:
        replicas[0].uri = listener.uri
        if replicas[1:]:
            async with served(*replicas[1:]):
                yield
        else:
            yield


class Collected:
    """What a client's listener was shown, until a task has ended."""

    def __init__(self, client: mcpc.Client) -> None:
        self.results: list[Any] = []
        self.ended = anyio.Event()
        client.add_event_listener(self._listen)

    def _listen(self, message: mcpc.MCPCMessage) -> None:
        self.results.append(message.result)
        if message.event == "complete":
            self.ended.set()


def is_listened_to(replica: Replica) -> bool:
    """Whether some client listens there."""
    return any(journal.reader is not None for journal in replica.callbacks.binding.workshop.journals)


async def next_update(task: mcpc.TaskHandle) -> Any:
    """The result of the next update of a task."""
    async for message in task:
        if message.event == "update":
            return message.result
    raise AssertionError("it has ended")


async def asked_by(task: mcpc.TaskHandle) -> str:
    """The id of the first question of a task."""
    return (await next_update(task))["prompt"]["id"]


@asynccontextmanager
async def caller_without_ears(replica: Replica, channel: str) -> AsyncGenerator[Any]:
    """Calls tools at a replica for a client that listens elsewhere."""
    async with mcpc.Client(replica.uri) as caller:

        async def call(tool: str, arguments: dict[str, Any], task_id: str) -> Any:
            meta: Any = {"mcpc/channel": channel, "mcpc/taskId": task_id}
            return await caller.call_tool(tool, arguments, meta=meta)

        yield call


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds that nothing else tells of."""
    while not holds():  # noqa: ASYNC110 - it is another process's doing
        await anyio.sleep(0.01)


async def until_true(ask: Callable[[], Awaitable[Any]], good: Callable[[Any], object]) -> None:
    """Ask until the answer is a good one."""
    while not good(await ask()):  # noqa: ASYNC110 - it is another process's doing
        await anyio.sleep(0.05)


class Front(Relay):
    """A relay before a Redis: cut off, healed, or led to another Redis, as a failover does."""

    def cut_off(self) -> None:
        """Let nobody through."""
        self.refusing = True
        self.cut_all()

    def heal(self) -> None:
        """Let everybody through again."""
        self.refusing = False

    def fail_over_to(self, server: RedisServer) -> None:
        """From now on it is this server that is reached."""
        self.ports[0] = server.port
        self.cut_all()

    ports: list[int]


@contextmanager
def front_of(server: RedisServer) -> Generator[Front]:
    """A relay in front of that server; `front.uri` is where to dial instead."""
    ports = [server.port]
    listener = socket.create_server(("127.0.0.1", 0))
    uri = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    front = Front(uri, listener, lambda: socket.create_connection(("127.0.0.1", ports[0])), [])
    front.ports = ports
    try:
        yield front
    finally:
        front.close()
