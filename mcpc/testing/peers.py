"""The other end of every check: a peer that does what the first frame of a connection asks of it.

A check runs at the dialling end. What it needs of the other end is a *role*, a
named behaviour with parameters, asked for on the connection itself; so the same
checks run against a listener in this process and against a server in another.
A role that goes on after its connection tells what it saw in a file, and waits
for another file where it must wait for the check.
"""

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp.server import Server

from mcpc.errors import FrameError, TransportError
from mcpc.framing import Connection
from mcpc.testing.loads import Load, make_frame, read_index
from mcpc.testing.mcp_server import make_server
from mcpc.transport import FrameChannel, Peer

__all__ = [
    "MAX_BUFFERED",
    "PeerEndpoint",
    "Sender",
    "ask",
    "collect",
    "first_difference",
    "receive_impatiently",
    "send_in_batches",
    "settle",
]

MAX_BUFFERED = 64 * 1024 * 1024
"""Bytes that a connection may take from a sender whose peer does not read."""
STEPS = 12
"""Scheduling steps after which a hasty receiver gives up, at the most."""
POLL = 0.005
QUIET = 0.15
"""Seconds without progress after which a send counts as waiting."""

Parameters = Mapping[str, Any]
Answer = dict[str, Any] | None


def ask(role: str, **parameters: Any) -> bytes:
    """The frame that asks a peer for a role."""
    return json.dumps({"role": role, **parameters}).encode()


# --- what both ends do ---


async def settle() -> None:
    """Let what was just started get to where it waits."""
    for _ in range(STEPS):
        await checkpoint()


async def receive_impatiently(channel: FrameChannel, count: int) -> list[bytes]:
    """Receive `count` frames, giving up most receives: after 0, 1, 2, … steps of the scheduler, or a moment."""
    got: list[bytes] = []

    async def attempt() -> None:
        got.append(await channel.receive())

    while len(got) < count:
        for steps in range(STEPS):
            if len(got) == count:
                break
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(attempt)
                for _ in range(steps):
                    await checkpoint()
                tasks.cancel_scope.cancel()
        if len(got) < count:
            with anyio.move_on_after(0.0005):
                await attempt()
        if len(got) < count:
            await attempt()
    return got


async def first_difference(channel: FrameChannel, load: Load, *, impatiently: bool = False) -> str | None:
    """Receive a load; say what was first wrong about it, None where nothing was."""
    expected = list(load)
    for number in range(0, load.count, 50):
        part = expected[number : number + 50]
        try:
            got = await receive_impatiently(channel, len(part)) if impatiently else await _receive(channel, len(part))
        except (FrameError, TransportError) as exc:
            return f"one of the frames {number} to {number + len(part) - 1} was not received: {exc!r}"
        for index, (want, have) in enumerate(zip(part, got, strict=True), number):
            if want != have:
                return _compare(index, want, have, expected)
    return None


async def _receive(channel: FrameChannel, count: int) -> list[bytes]:
    return [await channel.receive() for _ in range(count)]


def _compare(index: int, want: bytes, have: bytes, expected: list[bytes]) -> str:
    place = f"as frame {index} of {len(expected)}, {len(want)} bytes long, "
    if have in expected:
        return f"{place}there came frame {expected.index(have)}"
    return f"{place}there came one that was never sent, {len(have)} bytes long: {have[:60]!r}…"


async def send_in_batches(channel: FrameChannel, load: Load, batch: int) -> None:
    """Send a load, `batch` frames in each call."""
    frames = list(load)
    for start in range(0, len(frames), batch):
        await channel.send(*frames[start : start + batch])


class Sender:
    """Sends numbered frames of `size` bytes until told to stop, from a task of its own."""

    def __init__(self, channel: FrameChannel, size: int = 64 * 1024, limit: int = MAX_BUFFERED) -> None:
        self.channel = channel
        self.size = size
        self.limit = limit
        self.sent: int = 0
        """Frames whose send has returned."""
        self.stopping = False
        self.failure: Exception | None = None
        self.done: anyio.Event = anyio.Event()

    async def run(self) -> None:
        """Send; an error ends it, and is kept."""
        try:
            while not self.stopping and self.sent * self.size <= self.limit:
                await self.channel.send(make_frame(self.sent, self.size))
                self.sent += 1
        except Exception as exc:
            self.failure = exc
        finally:
            self.done.set()

    async def blocked(self) -> bool:
        """Wait until a send has waited for a while (true), or sending is over (false)."""
        before = -1
        while before != self.sent and not self.done.is_set():
            before = self.sent
            with anyio.move_on_after(QUIET):
                await self.done.wait()
        return not self.done.is_set()


async def collect(channel: FrameChannel) -> dict[str, Any]:
    """Receive numbered frames until the channel ends: which came whole, how many did not, how it ended."""
    indexes: list[int] = []
    torn = 0
    while True:
        try:
            index = read_index(await channel.receive())
        except FrameError:
            torn += 1
        except TransportError as exc:
            return {"indexes": indexes, "torn": torn, "ending": type(exc).__name__}
        else:
            if index is None:
                torn += 1
            else:
                indexes.append(index)


# --- roles ---


async def _echo(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Send every frame back."""
    while True:
        await channel.send(await channel.receive())


async def _take(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Receive a load, then say in a frame what was wrong with it."""
    difference = await first_difference(
        channel, Load(**parameters["load"]), impatiently=parameters.get("impatiently", False)
    )
    return await _judged(channel, difference)


async def _judged(channel: FrameChannel, difference: str | None) -> Answer:
    await channel.send(json.dumps({"difference": difference}).encode())
    if difference is not None:
        await collect(channel)  # what still comes is no role
    return None


async def _give(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Send a load; then, if so asked, close."""
    await send_in_batches(channel, Load(**parameters["load"]), parameters.get("batch", 1))
    if parameters.get("close", False):
        await channel.aclose()
    return None


async def _give_and_take(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Send one load while another is received; then say in a frame what was wrong with it."""
    found: list[str | None] = []

    async def take() -> None:
        found.append(await first_difference(channel, Load(**parameters["take"])))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await send_in_batches(channel, Load(**parameters["give"]), 1)
    return await _judged(channel, found[0])


async def _collect(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Wait for the gate, if so asked; then receive until the end, and report."""
    if parameters.get("wait", False):
        await _passed(parameters["gate"])
    return await collect(channel)


async def _babble(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Send, never reading, until the connection has ended; report."""
    sender = Sender(channel, parameters["size"], limit=1 << 40)
    await sender.run()
    return {"ending": type(sender.failure).__name__}


async def _flood(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Send until a send waits; report; wait for room, and close."""
    sender = Sender(channel, parameters["size"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run)
        blocked = await sender.blocked()
        sender.stopping = True
        _write_report(parameters, {"blocked": blocked, "sent": sender.sent, "failure": repr(sender.failure)})
    await channel.aclose()
    return None


async def _oversize(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Send a frame that may be too large, and a small one after it."""
    await channel.send(make_frame(0, parameters["size"]))
    await channel.send(make_frame(1, 100))
    await _passed(parameters["gate"])
    return None


async def _note(channel: FrameChannel, parameters: Parameters) -> Answer:
    """For each frame say in a frame how large it was, or that it was refused."""
    while True:
        try:
            size: int | None = len(await channel.receive())
        except FrameError as exc:
            await channel.send(json.dumps({"refused": type(exc).__name__}).encode())
        else:
            await channel.send(json.dumps({"size": size}).encode())


async def _close(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Close the accepted channel while a receive waits; report what its methods raise from then on."""
    outcomes: dict[str, str] = {}

    async def waiting() -> None:
        outcomes["waiting receive"] = await _outcome(channel.receive)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting)
        await settle()
        outcomes["aclose"] = await _outcome(channel.aclose)
    outcomes["second aclose"] = await _outcome(channel.aclose)
    outcomes["receive"] = await _outcome(channel.receive)
    outcomes["send"] = await _outcome(lambda: channel.send(b"{}"))
    return outcomes


async def _outcome(operation: Callable[[], Awaitable[object]]) -> str:
    try:
        await operation()
    except Exception as exc:
        return type(exc).__name__
    return "returned"


async def _rest(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Do nothing until the gate opens; then read what has come, for nothing."""
    await _passed(parameters["gate"])
    await collect(channel)
    return None


async def _vanish(channel: FrameChannel, parameters: Parameters) -> Answer:
    """End the process, with no good-byes. Only for a peer that has a process of its own."""
    await _passed(parameters["gate"])
    os._exit(3)


async def _mcp(channel: FrameChannel, parameters: Parameters) -> Answer:
    """Serve MCP on the rest of the connection."""
    server = make_server()
    async with Connection(channel, side="server").open() as connection:
        await server.run(*connection.streams, server.create_initialization_options())
    return None


ROLES: dict[str, Callable[[FrameChannel, Parameters], Awaitable[Answer]]] = {
    "babble": _babble,
    "close": _close,
    "collect": _collect,
    "echo": _echo,
    "flood": _flood,
    "give": _give,
    "give_and_take": _give_and_take,
    "mcp": _mcp,
    "note": _note,
    "oversize": _oversize,
    "rest": _rest,
    "take": _take,
    "vanish": _vanish,
}


# --- the files ---


async def _passed(gate: str) -> None:
    """Wait until the check opens the gate."""
    while not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240 - the check may be in another process
        await anyio.sleep(POLL)


def _write_report(parameters: Parameters, report: dict[str, Any]) -> None:
    path = Path(parameters["report"])
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report))
    part.replace(path)  # whoever finds the file finds all of it


class PeerEndpoint:
    """The endpoint that every check dials: plays the role that a connection's first frame asks for.

    Args:
        own_process: Whether the process is the peer's own, which a role may then end.
    """

    def __init__(self, *, own_process: bool = False) -> None:
        self.server: Server[Any] = make_server()
        self.idle: anyio.Event = anyio.Event()
        """Set when a connection has ended."""
        self._own_process = own_process

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        """See `Endpoint.serve_channel`: plays roles until the connection ends."""
        try:
            while True:
                await self._play(channel)
        except TransportError:
            pass  # the check has closed the connection, or cut it
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()
            self.idle.set()

    async def _play(self, channel: FrameChannel) -> None:
        frame = await channel.receive()
        try:
            parameters: dict[str, Any] = json.loads(frame)
            role = parameters.pop("role")
        except (ValueError, AttributeError, KeyError):
            raise AssertionError(f"a peer got a frame that asks for no role: {frame[:100]!r}…") from None
        if role == "vanish" and not self._own_process:
            raise AssertionError("a peer that shares this process cannot vanish")
        report = await ROLES[role](channel, parameters)
        if report is not None:
            _write_report(parameters, report)

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        """See `Endpoint.serve_streams`: serves MCP."""
        try:
            await self.server.run(read, write, self.server.create_initialization_options())
        finally:
            self.idle.set()
