"""A server whose workers fail in every way that Python has; served over stdio when run."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError

import mcpc


class Unprintable(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


class Strange(BaseException):
    """Not an `Exception`."""


def _stray_cancellation() -> None:
    raise asyncio.CancelledError("somebody else's")


def _group() -> None:
    inner = BaseExceptionGroup("inner", [SystemExit(3), KeyError("row 18")])
    raise BaseExceptionGroup("outer", [ValueError("row 17"), inner])


def _stop_in_a_group() -> None:
    raise ExceptionGroup("outer", [ValueError("row 17"), mcpc.TaskStopped("enough")])


def _raise(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


WAYS: dict[str, tuple[Callable[[], None], str]] = {
    "stray": (_stray_cancellation, "CancelledError: somebody else's"),
    "future": (_raise(concurrent.futures.CancelledError("a future's")), "CancelledError: a future's"),
    "exit": (_raise(SystemExit(2)), "SystemExit: 2"),
    "interrupt": (_raise(KeyboardInterrupt()), "KeyboardInterrupt: "),
    "generator": (_raise(GeneratorExit()), "GeneratorExit: "),
    "strange": (_raise(Strange("base")), "Strange: base"),
    "unprintable": (_raise(Unprintable()), "Unprintable: (an error that cannot be printed)"),
    "surrogate": (_raise(ValueError("\ud800")), "ValueError: ?"),
    "long": (_raise(ValueError("x" * 8_000_000)), f"ValueError: {'x' * 16 * 1024}"),
    "single": (_raise(ExceptionGroup("one", [ValueError("row 17")])), "ValueError: row 17"),
    "group": (_group, "BaseExceptionGroup: ValueError: row 17; SystemExit: 3; KeyError: 'row 18'"),
    "stopped": (_stop_in_a_group, "stopped: the task was stopped"),
    "rpc": (_raise(MCPError(-32000, "no such table")), "MCPError: no such table"),
}
"""How a worker may fail, and what its caller reads."""

ORDINARY = ("stray", "exit", "interrupt", "generator", "strange", "group")
"""The ways that are no `Exception`, which ordinary tools have too: `ordinary_exit_async` and so on."""


def bad_server() -> MCPServer[Any]:
    """A server with a tool for each way, async and sync, and good ones."""
    server = MCPServer[Any]("bad-workers", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, shutdown_grace=0.1)

    def add(way: str, fail: Callable[[], None]) -> None:
        async def in_the_loop(task: mcpc.Task) -> None:
            await task.update("about to fail")
            fail()

        def in_a_thread(task: mcpc.SyncTask) -> None:
            task.update("about to fail")
            fail()

        callbacks.tool(f"{way}_async")(in_the_loop)
        callbacks.tool(f"{way}_sync")(in_a_thread)

    def add_ordinary(way: str, fail: Callable[[], None]) -> None:
        async def in_the_loop() -> None:
            fail()

        server.tool(f"ordinary_{way}_async")(in_the_loop)
        server.tool(f"ordinary_{way}_sync")(fail)

    for way, (fail, _) in WAYS.items():
        add(way, fail)
        if way in ORDINARY:
            add_ordinary(way, fail)

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        async for _ in task.inputs():
            return "fine"
        return "stopped"

    @callbacks.tool()
    async def cancels_itself(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await anyio.sleep_forever()
        return "never"

    return server


if __name__ == "__main__":
    mcpc.run(bad_server(), "stdio:")
