"""A listener that blocks holds up who sends to it: nothing is lost, for as long as it gives a sign of life."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError

import mcpc
from mcpc.client.requests import ask_server
from support import ASYNCIO_ONLY, TEMPLATES, serving

pytestmark = pytest.mark.anyio

SCHEMES = sorted(scheme for scheme in TEMPLATES if scheme not in ("stdio", "wss", "https", "sse+https"))


class Flood:
    """A server whose task sends numbers, faster than anybody listens, through a small log."""

    def __init__(self, **limits: Any) -> None:
        self.server: MCPServer[Any] = MCPServer("flood", log_level="ERROR")
        self.callbacks = mcpc.MCPCHelper(self.server, max_messages=200, **limits)
        self.sent = 0
        self.ended = False
        self.callbacks.tool()(self.flood)

    async def flood(self, count: int, task: mcpc.Task) -> int:
        for self.sent in range(1, count + 1):
            await task.update(self.sent)
            if task.stop_requested:
                break
        self.ended = True
        return count


class Slow:
    """A listener that takes the loop's turns for each message, and waits at a gate where it is shut."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.gaps: list[mcpc.MCPCMessage] = []
        self.ended = anyio.Event()
        self.gate = anyio.Event()
        self.gate.set()

    async def __call__(self, message: mcpc.MCPCMessage) -> None:
        await self.gate.wait()
        await checkpoint()
        if message.event == "gap":
            self.gaps.append(message)
        elif message.terminal:
            self.ended.set()
        elif message.event == "update":
            self.got.append(message.result)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await checkpoint()


def skip_where_there_is_no_listener(scheme: str, loop: str) -> None:
    if scheme in ASYNCIO_ONLY and loop == "trio":
        pytest.skip("HTTP listeners need asyncio")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("capacity", [1, 100])
async def test_a_flood_at_a_slow_listener_loses_nothing(
    scheme: str, capacity: int, tmp_path: Path, anyio_backend_name: str
) -> None:
    skip_where_there_is_no_listener(scheme, anyio_backend_name)
    flood, slow, count = Flood(), Slow(), 3000
    async with serving(scheme, tmp_path, flood.server) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                client.add_event_listener(slow, capacity=capacity, overflow="block")
                await client.start_task("flood", {"count": count})
                await slow.ended.wait()
    assert (slow.got, slow.gaps) == (list(range(1, count + 1)), [])


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_listener_that_does_nothing_holds_up_the_sender_and_no_request(
    scheme: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    skip_where_there_is_no_listener(scheme, anyio_backend_name)
    flood, slow, count = Flood(stall_timeout=3600.0), Slow(), 100_000
    slow.gate = anyio.Event()
    async with serving(scheme, tmp_path, flood.server) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                client.add_event_listener(slow, capacity=10, overflow="block")
                task = await client.start_task("flood", {"count": count})
                await until(lambda: flood.sent > 200)
                sent = -1
                while sent != flood.sent:  # what is a log ahead has to wait
                    sent = flood.sent
                    for _ in range(3):  # which takes the event loop's turns
                        await client.list_tools()
                assert sent < count
                assert not flood.ended
                slow.gate.set()
                await until(lambda: len(slow.got) > sent)
                await task.stop()
                await slow.ended.wait()
    assert (slow.got, slow.gaps) == (list(range(1, len(slow.got) + 1)), [])


async def test_who_does_nothing_for_the_stall_timeout_is_waited_for_no_longer_and_told_of_the_gap(
    tmp_path: Path,
) -> None:
    flood, slow, count = Flood(stall_timeout=0.05), Slow(), 3000
    slow.gate = anyio.Event()
    async with serving("unix", tmp_path, flood.server) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client:
                client.add_event_listener(slow, capacity=10, overflow="block")
                await client.start_task("flood", {"count": count})
                await until(lambda: flood.ended)
                slow.gate.set()
                await slow.ended.wait()
    assert slow.gaps
    numbers = set(range(1, count + 1))
    for gap in slow.gaps:  # `created` comes as the answer and has no number
        numbers -= set(range(gap.result["first"], gap.result["last"] + 1))
    assert len(numbers) < count
    assert slow.got == sorted(numbers)


async def test_a_late_pause_of_another_listening_is_refused_and_a_foreign_one_too(tmp_path: Path) -> None:
    flood = Flood()
    async with serving("unix", tmp_path, flood.server) as served:
        with anyio.fail_after(60):
            async with mcpc.Client(served.uri) as client, mcpc.Client(served.uri) as other:
                for channel in (client.channel, "x" * 32):
                    with pytest.raises(MCPError, match="listenId"):
                        await ask_server(other.session, "mcpc/pause", {"channel": channel, "listenId": "another"})
                task = await client.start_task("flood", {"count": 10})
                assert await task.result() == 10
