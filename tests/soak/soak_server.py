"""The server that is soaked, in a process of its own: `python soak_server.py URI`. Its wall clock can be set.

Tools: workers that behave and workers that do not, `jump` (of the wall clock), `starve` (of descriptors), and `weigh`
(what the process holds).
"""

import asyncio
import ctypes
import gc
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

_really = time.time
_ahead = 0.0


def _set_clock() -> float:
    return _really() + _ahead


time.time = _set_clock  # before anything else asks what time it is

import anyio  # noqa: E402
from mcp.server import MCPServer  # noqa: E402

import mcpc  # noqa: E402

OVERSIZE = 3_000_000
"""Bytes of a message that is over the limit of the clients here, and not over a server's."""
SERVED = {"http": {"session_idle_timeout": 10.0, "absence_timeout": 3.0}}
"""Options by scheme: what is left behind is let go within a soak's patience."""


def _give_back() -> None:
    """Let the C library return what was freed: it keeps hundreds of MiB of large texts, which are held by nobody."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Allocated(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


BLOCK = 64
"""Bytes of one of Python's own small blocks, on the average."""


def _held() -> int:
    """Bytes that something holds: what the allocators keep for later, in pieces too small to return, is not counted."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return 0
    mallinfo.restype = _Allocated
    found = mallinfo()
    return found.uordblks + found.hblkhd + BLOCK * sys.getallocatedblocks()


def weight() -> dict[str, int]:
    """Resident bytes, bytes that are held, open descriptors and tasks of the loop of this process."""
    gc.collect()
    _give_back()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    tasks = len(asyncio.all_tasks())
    return {
        "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "held": _held(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": tasks,
    }


class Unspeakable:
    """Cannot be written as JSON, nor as a text."""

    def __str__(self) -> str:
        raise RuntimeError("this has no text")

    __repr__ = __str__


def make_server() -> MCPServer[Any]:
    """The server."""
    server = MCPServer[Any]("soaked", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(
        server, max_tasks=5000, channel_ttl=5.0, task_ttl=5.0, stall_timeout=5.0, stop_grace=0.2, abandon_after=10.0
    )

    @callbacks.tool()
    async def count(n: int, task: mcpc.Task, pause: float = 0.0) -> int:  # pyright: ignore[reportUnusedFunction]
        """Send the numbers up to n."""
        for number in range(n):
            await task.update({"n": number})
            if pause and number % 20 == 0:
                await anyio.sleep(pause)
        return n

    @callbacks.tool()
    async def count_with_a_large_one(n: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        """The same, and in the middle one that its client does not take."""
        for number in range(n):
            await task.update({"n": number, "ballast": "x" * OVERSIZE} if number == n // 2 else {"n": number})
        return n

    @callbacks.tool()
    def count_in_thread(n: int, task: mcpc.SyncTask) -> int:  # pyright: ignore[reportUnusedFunction]
        """The same from a thread."""
        for number in range(n):
            task.update({"n": number})
        return n

    @callbacks.tool()
    async def misbehave(how: str, task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        """End as no worker should."""
        await task.update({"n": 0})
        if how == "exit":
            raise SystemExit(3)
        if how == "cancelled":
            raise asyncio.CancelledError
        if how == "group":
            raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])
        if how == "oversize":
            return "x" * OVERSIZE
        if how == "no json":
            return Unspeakable()
        raise ValueError("no such row")

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        """Until it is told to stop."""
        await anyio.sleep_forever()
        return "never"

    @server.tool()
    async def jump(seconds: float) -> bool:  # pyright: ignore[reportUnusedFunction]
        """Set the wall clock so far ahead of the real one."""
        global _ahead
        _ahead = seconds
        return True

    @server.tool()
    async def starve(seconds: float) -> bool:  # pyright: ignore[reportUnusedFunction]
        """Let this process open next to nothing for a while."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = len(os.listdir("/proc/self/fd")) + 1
        if few < soft:  # it may be starving already
            resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
            asyncio.get_running_loop().call_later(seconds, resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        return True

    @server.tool()
    async def weigh() -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        """What this process holds."""
        return weight()

    @server.tool()
    async def name_tasks() -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        """How many tasks of the loop run what: for whoever asks why there are so many."""
        return Counter(task.get_name().rstrip("0123456789") for task in asyncio.all_tasks())

    return server


async def _main() -> None:
    options: dict[str, Any] = SERVED.get(sys.argv[1].partition(":")[0], {})
    async with mcpc.listen(make_server(), sys.argv[1], **options) as listener:
        print(listener.uri, flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    if sys.argv[1] == "stdio:":
        mcpc.run(make_server(), "stdio:")
    else:
        anyio.run(_main)
