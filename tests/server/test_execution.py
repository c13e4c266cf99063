"""A task where it runs: what is left of it when it has ended."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp
import pytest
from mcp.shared.exceptions import MCPError

import mcpc
from support import make_server

pytestmark = pytest.mark.anyio


class Large:
    """Something that a worker holds in its frame."""


Held = list[weakref.ref[Large]]


def _fail(held: Held, error: type[BaseException], *args: Any) -> None:
    """Raise one that this frame does not hold itself."""
    large = Large()
    held.append(weakref.ref(large))
    raise error(*args)


def _chained(held: Held) -> None:
    large = Large()
    held.append(weakref.ref(large))
    try:
        _fail(held, ValueError, "inner")
    except ValueError as exc:
        raise RuntimeError("outer") from exc


def _meanwhile(held: Held) -> None:
    large = Large()
    held.append(weakref.ref(large))
    try:
        _fail(held, ValueError, "inner")
    except ValueError:
        raise RuntimeError("while the other was handled")  # noqa: B904 - that is what is tried


def _group(held: Held) -> None:
    errors: list[BaseException] = []
    for number in range(2):
        try:
            _fail(held, SystemExit, number)
        except SystemExit as exc:
            errors.append(exc)
    try:
        raise BaseExceptionGroup("both", errors)
    finally:
        del errors  # the list, the group and this frame would hold each other


WAYS: dict[str, Callable[[Held], None]] = {
    "plain": lambda held: _fail(held, ValueError, "no such row"),
    "chained": _chained,
    "meanwhile": _meanwhile,
    "group": _group,
    "exit": lambda held: _fail(held, SystemExit, 2),
    "stray": lambda held: _fail(held, asyncio.CancelledError, "somebody else's"),
    "protocol": lambda held: _fail(held, MCPError, -32000, "no such table"),
}


@pytest.fixture
def without_collector() -> Generator[None]:
    """What goes in here goes because nothing holds it."""
    gc.disable()
    yield
    gc.enable()


class Failing:
    """A server whose workers fail in each way, and what their frames held."""

    def __init__(self) -> None:
        self.server = make_server()
        self.callbacks = mcpc.MCPCHelper(self.server)
        self.held: Held = []
        for way, fail in WAYS.items():
            self._add(way, fail)

    def _add(self, way: str, fail: Callable[[Held], None]) -> None:
        async def in_the_loop(task: mcpc.Task) -> None:
            await task.update("about to fail")
            fail(self.held)

        def in_a_thread(task: mcpc.SyncTask) -> None:
            task.update("about to fail")
            fail(self.held)

        async def in_old_style() -> None:
            async def work() -> None:
                fail(self.held)

            self.callbacks.start_task(way, work)

        self.callbacks.tool(f"{way}_async")(in_the_loop)
        self.callbacks.tool(f"{way}_sync")(in_a_thread)
        self.server.tool(f"{way}_old")(in_old_style)

    async def nothing_is_left(self) -> None:
        """Wait for that: a thread, and the task that ran a call, let go a moment later."""
        assert self.held
        while any(ref() is not None for ref in self.held):
            await anyio.lowlevel.checkpoint()
        self.held.clear()


@asynccontextmanager
async def failing_for(kind: str) -> AsyncGenerator[tuple[Failing, Any]]:
    """Such a server, and a client of it."""
    failing = Failing()
    async with mcpc.listen(failing.server, f"memory://failing-{kind}") as listener:
        if kind == "mcpc":
            async with mcpc.Client(listener.uri) as client:
                yield failing, client
        else:
            async with mcp.Client(mcpc.connect(listener.uri), mode=kind) as plain:
                yield failing, plain


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.usefixtures("without_collector")
async def test_a_failed_task_keeps_nothing_of_its_worker_alive(kind: str) -> None:
    with anyio.fail_after(60):
        async with failing_for("mcpc") as (failing, client):
            for way in WAYS:
                task = await client.start_task(f"{way}_{kind}")
                with pytest.raises(mcpc.TaskFailed):
                    await task.result()
                await failing.nothing_is_left()
                assert (await task.state())["status"] == "failed", "the task itself is remembered"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.usefixtures("without_collector")
async def test_nor_does_one_whose_caller_waited(kind: str, mode: str) -> None:
    with anyio.fail_after(60):
        async with failing_for(mode) as (failing, client):
            for way in WAYS:
                if way == "protocol":
                    with pytest.raises(MCPError, match="no such table"):
                        await client.call_tool(f"{way}_{kind}", {})
                else:
                    assert (await client.call_tool(f"{way}_{kind}", {})).is_error
                await failing.nothing_is_left()


@pytest.mark.usefixtures("without_collector")
async def test_nor_does_one_of_mcpc_0_2_that_nobody_cleans_up() -> None:
    with anyio.fail_after(60):
        async with failing_for("mcpc") as (failing, client):
            for way in WAYS:
                await client.call_tool(f"{way}_old", {})
                while failing.callbacks.check_task(way).get("is_running", True):
                    await anyio.lowlevel.checkpoint()
                await failing.nothing_is_left()
                assert failing.callbacks.check_task(way).get("status") == "failed"


@pytest.mark.usefixtures("without_collector")
async def test_a_thread_that_nobody_waits_for_leaves_nothing_when_it_fails() -> None:
    held: Held = []
    running = threading.Event()
    server = make_server(stop_grace=0.0)
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    def late(task: mcpc.SyncTask) -> None:  # pyright: ignore[reportUnusedFunction]
        running.set()
        while True:
            try:
                task.update("still here")
            except mcpc.TaskStopped:
                _fail(held, ValueError, "too late")

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("late")
            while not running.is_set():
                await anyio.lowlevel.checkpoint()
            await task.stop()
            with pytest.raises(mcpc.TaskStopped):
                await task.result()
            while not held or held[0]() is not None:
                await anyio.lowlevel.checkpoint()
