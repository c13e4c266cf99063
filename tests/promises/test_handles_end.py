"""A handle always ends: whichever way the server knows how its task went, whoever waits is told."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from relay import relay_to
from support import TEMPLATES

pytestmark = pytest.mark.anyio

SCHEMES = ["memory", "unix", "tcp"]
"""Those that meet every way. Over stdio a new process is another server (`test_dying_server`)."""
DEADLINE = 60
QUICKLY = mcpc.Backoff(first=0.01, maximum=0.05)
LOST = (mcpc.ConnectionLost, mcpc.UnknownTask)


class App:
    """A server that goes on while nobody can dial it, with a task that waits for a word."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("ends", log_level="CRITICAL")
        self.callbacks = mcpc.MCPCHelper(self.server, client_share=1.0, **limits)
        self.go = anyio.Event()

        @self.callbacks.tool()
        async def work(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            await task.update("begun")
            await self.go.wait()
            for number in range(50):
                await task.update(number)
            return "done"

        @self.callbacks.tool()
        async def quick(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            return "quick"

    @asynccontextmanager
    async def alive(self) -> AsyncGenerator[str]:
        """Keep it alive, whoever can dial it; gives the address of a door that stays open."""
        async with mcpc.listen(self.server, "memory://stays-open") as listener:
            yield listener.uri

    async def finish(self) -> None:
        """Let the task end."""
        self.go.set()
        while self.callbacks.stats.tasks:
            await anyio.lowlevel.checkpoint()

    async def forget_channels(self, left: int = 0) -> None:
        """Wait until no more channels than that are known."""
        while self.callbacks.stats.channels > left:
            self.callbacks.binding.workshop.sweep()
            await anyio.lowlevel.checkpoint()

    async def forget_tasks(self) -> None:
        """Wait until no task is remembered: its time begins when it ends, a channel's when its client has left."""
        workshop = self.callbacks.binding.workshop
        while len(workshop.registry):
            workshop.sweep()
            await anyio.lowlevel.checkpoint()


async def _expired(app: App, stays_open: str) -> None:
    await app.finish()
    await app.forget_channels()


async def _forgotten(app: App, stays_open: str) -> None:
    await _expired(app, stays_open)
    await app.forget_tasks()


async def _evicted(app: App, stays_open: str) -> None:
    await app.finish()
    for _ in range(2):
        async with mcpc.Client(stays_open) as other:
            assert await (await other.start_task("quick")).result() == "quick"


async def _missed(app: App, stays_open: str) -> None:
    await app.finish()


WAYS: dict[str, tuple[dict[str, Any], Any, str | None]] = {
    "its channel's time was over": ({"channel_ttl": 0.05}, _expired, "done"),
    "its channel and its time were over": ({"channel_ttl": 0.05, "task_ttl": 0.05}, _forgotten, None),
    "its channel made room": ({"max_channels": 2}, _evicted, "done"),
    "there is a gap": ({"max_messages": 5}, _missed, "done"),
    "the log was too small in bytes": ({"max_bytes": 300}, _missed, "done"),
}
"""What happens while the client is away: the server's limits, what is done, and the result; None where it is lost."""
CASES = [
    *product(SCHEMES, WAYS),
    ("ws", "its channel and its time were over"),  # a close frame tells the client, and not the end of the bytes
    ("ws", "there is a gap"),
    ("http", "its channel and its time were over"),  # there only the stream is lost, and each request dials for itself
    ("http", "there is a gap"),
    ("sse+http", "its channel's time was over"),  # answers come on another connection than requests go
    ("sse+http", "there is a gap"),
]


async def _iterate(task: mcpc.TaskHandle, ends: list[str]) -> None:
    try:
        async for _ in task:
            pass
    except LOST:
        pass
    ends.append("iterated")


async def _outcome(task: mcpc.TaskHandle) -> str | None:
    try:
        return await task.result()
    except LOST:
        return None


@contextmanager
def _found_again(uri: str, tmp_path: Path) -> Generator[tuple[str, Callable[[str | None], None]]]:
    """The address to dial for a server that comes and goes, and what is told where it is now; None for nowhere.

    One at a name or a path comes back there. One at a port gets another, as somebody may have taken the first.
    """
    if "127.0.0.1" not in uri:
        yield uri, lambda now: None
        return
    with relay_to(uri, tmp_path) as relay:

        def lead(now: str | None) -> None:
            relay.refusing = now is None
            if now is not None:
                relay.lead_to(urlsplit(now).port or 0)

        yield relay.uri, lead


@pytest.mark.parametrize(("scheme", "way"), CASES)
async def test_a_client_that_was_away_is_told_how_its_task_went(scheme: str, way: str, tmp_path: Path) -> None:
    limits, meanwhile, expected = WAYS[way]
    app, ends = App(**limits), list[str]()
    address = TEMPLATES[scheme].format(tmp=tmp_path, name="ends", python="", here="")
    with anyio.fail_after(DEADLINE):
        async with app.alive() as stays_open, anyio.create_task_group() as readers:
            first = mcpc.listen(app.server, address)
            listener = await first.__aenter__()
            with _found_again(listener.uri, tmp_path) as (uri, lead):
                async with mcpc.Client(uri, reconnect=QUICKLY) as client:
                    task = await client.start_task("work")
                    async for message in task:
                        if message.event == "update":
                            break
                    for _ in range(2):
                        readers.start_soon(_iterate, task, ends)
                    lead(None)
                    await first.__aexit__(None, None, None)
                    await meanwhile(app, stays_open)
                    async with mcpc.listen(app.server, address) as second:
                        lead(second.uri)
                        assert await _outcome(task) == expected
                        assert await _outcome(task) == expected, "and again"
                        while len(ends) < 2:
                            await anyio.lowlevel.checkpoint()


async def test_two_readers_of_a_tasks_inputs_both_end_however_it_ends() -> None:
    server = MCPServer[Any]("reads", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, stop_grace=DEADLINE)
    ends: list[str] = []

    async def read(task: mcpc.Task) -> None:
        async for _ in task.inputs():
            pass
        ends.append("read")

    @callbacks.tool()
    async def both(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        async with anyio.create_task_group() as readers:
            readers.start_soon(read, task)
            readers.start_soon(read, task)
            await task.update("begun")

    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(server) as client:
            task = await client.start_task("both")
            await task.send(1)
            await task.stop()
            with pytest.raises(mcpc.TaskStopped):
                await task.result()
            assert ends == ["read", "read"]


@pytest.mark.parametrize("overflow", ["coalesce", "block", "drop_oldest", "disconnect"])
async def test_the_result_comes_though_the_queue_is_full_and_nobody_iterates(overflow: Any) -> None:
    app = App()
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(app.server) as client:
            task = await client.start_task("work", capacity=1, overflow=overflow)
            app.go.set()
            assert await task.result() == "done"
