"""What is under test, and what a check is: the machinery of the contract suite, without its clauses."""

import asyncio
import gc
import json
import shlex
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint
from mcp.client import Client

from mcpc.errors import TransportError
from mcpc.framing import Connection
from mcpc.testing.loads import make_frame
from mcpc.testing.peers import POLL, PeerEndpoint, ask
from mcpc.transport import URI, Endpoint, FrameChannel, StreamPair, traits_of
from mcpc.uri import dial, listen_at, parse_uri, resolve, transport_options

__all__ = [
    "LIMIT",
    "Check",
    "Clauses",
    "ContractViolation",
    "NotApplicable",
    "RemotePeer",
    "Serve",
    "Subject",
    "expect",
    "expecting",
    "first_cause",
    "in_child",
    "no_tasks_left",
    "promptly",
]

Kind = Literal["frames", "streams"]
Place = Literal["here", "process"]
Serve = Callable[[Endpoint, Mapping[str, Any]], AbstractAsyncContextManager[str]]
"""Starts the peers and gives the address to dial. Takes the endpoint to serve, and the listener's options."""

LIMIT = 64 * 1024
"""`max_message_size` where a check needs one."""
PROMPTLY = 30.0
"""Seconds within which what should happen at once must have happened, on a machine that is busy."""


class ContractViolation(AssertionError):
    """A transport breaks the contract.

    Attributes:
        clause: The name of the check.
    """

    def __init__(self, clause: str, message: str) -> None:
        super().__init__(f"{clause}: {message}")
        self.clause = clause


class NotApplicable(Exception):
    """The check does not apply to this subject; the message says why."""


class RemotePeer:
    """A connection to a peer that plays a role, and the two files shared with it."""

    def __init__(self, channel: FrameChannel, report: Path, gate: Path) -> None:
        self.channel = channel
        self._report = report
        self._gate = gate

    async def ask(self, role: str, **parameters: Any) -> None:
        """Ask for a role: the first, or one after another that has ended."""
        await self.channel.send(ask(role, report=str(self._report), gate=str(self._gate), **parameters))

    def release(self) -> None:
        """Let a peer that waits go on."""
        self._gate.touch()

    async def report(self) -> dict[str, Any]:
        """What the peer reports, once it does."""
        while not self._report.exists():  # noqa: ASYNC110 - the peer may be in another process
            await anyio.sleep(POLL)
        return json.loads(self._report.read_text())


class Subject:
    """One transport under test: how its peers are started, dialled and asked for roles.

    Args:
        uri: The address to serve, as for `mcpc.listen`: `tcp://127.0.0.1:0`, `memory://contract`, …
        connect_options: Options for every dial.
        listen_options: Options for every listener.
        serve: Starts the peers elsewhere, by running `python -m mcpc.testing` there; by default they are
            served at `uri` in this process, or for `stdio:` in a child.
        nowhere: An address of the scheme that nobody serves, for peers that are elsewhere.
        connections: How many connections are opened at once where a check needs many.
        deadline: Seconds that one check may take.
    """

    def __init__(
        self,
        uri: str,
        *,
        connect_options: Mapping[str, Any] | None = None,
        listen_options: Mapping[str, Any] | None = None,
        serve: Serve | None = None,
        nowhere: str | None = None,
        connections: int | None = None,
        deadline: float = 120,
    ) -> None:
        self.uri: URI = parse_uri(uri)
        self.transport: Any = resolve(self.uri.scheme)
        self.deadline = deadline
        if serve is None and traits_of(self.transport).spawns:
            serve = in_child(str(uri))
            nowhere = nowhere or f"{self.uri.scheme}:mcpc-testing-no-such-command"
        self.place: Place = "here" if serve is None else "process"
        self.nowhere = nowhere
        self.connections: int = connections or (30 if serve is None else 3)
        self.connect_options: dict[str, Any] = dict(connect_options or {})
        self.listen_options: dict[str, Any] = dict(listen_options or {})
        self._serve = serve

    @property
    def limits(self) -> dict[str, Any]:
        """The option that sets `max_message_size` to `LIMIT`; empty where the transport has none."""
        known = (transport_options(self.transport, method) for method in ("connect", "listen"))
        return {"max_message_size": LIMIT} if all("max_message_size" in options for options in known) else {}

    def connect(
        self, uri: str, options: Mapping[str, Any] | None = None
    ) -> "AbstractAsyncContextManager[FrameChannel | StreamPair]":
        """Dial `uri`."""
        return dial(uri, **{**self.connect_options, **(options or {})})

    @asynccontextmanager
    async def serving(self, options: Mapping[str, Any] | None = None) -> AsyncGenerator[str]:
        """Peers, and the address where they answer."""
        endpoint = PeerEndpoint()
        merged = {**self.listen_options, **(options or {})}
        if self._serve is not None:
            async with self._serve(endpoint, merged) as uri:
                yield uri
            return
        async with listen_at(self.uri, endpoint, **merged) as listener:
            yield listener.uri

    @asynccontextmanager
    async def channel(self, uri: str, options: Mapping[str, Any] | None = None) -> AsyncGenerator[FrameChannel]:
        """A channel to `uri`, of which nothing has been asked."""
        async with self.connect(uri, options) as made:
            if isinstance(made, tuple):
                raise NotApplicable("the transport carries no frames")
            yield made

    @asynccontextmanager
    async def peer(
        self, role: str, *, uri: str | None = None, limits: Mapping[str, Any] | None = None, **parameters: Any
    ) -> AsyncGenerator[RemotePeer]:
        """A peer that plays `role`, at a running listener's `uri` or one of its own."""
        if uri is None:
            async with (
                self.serving(limits) as own,
                self.peer(role, uri=own, limits=limits, **parameters) as peer,
            ):
                yield peer
            return
        with tempfile.TemporaryDirectory() as name:
            report, gate = Path(name, "report"), Path(name, "gate")
            async with self.channel(uri, limits) as channel:
                peer = RemotePeer(channel, report, gate)
                await peer.ask(role, **parameters)
                try:
                    yield peer
                finally:
                    peer.release()

    @asynccontextmanager
    async def streams(self, uri: str, options: Mapping[str, Any] | None = None) -> AsyncGenerator[StreamPair]:
        """The SDK's streams to a peer that serves MCP, whatever the transport is made of."""
        async with self.connect(uri, options) as made:
            if isinstance(made, tuple):
                yield made
                return
            await made.send(ask("mcp"))
            async with Connection(made, side="client").open() as connection:
                yield connection.streams

    def client(self, uri: str, options: Mapping[str, Any] | None = None, *, mode: str = "auto") -> Client:
        """An MCP client of a peer that serves MCP."""
        return Client(self.streams(uri, options), mode=mode)

    async def kind(self) -> Kind:
        """What connections of this transport are made of."""
        async with self.serving() as uri, self.connect(uri) as made:
            return "streams" if isinstance(made, tuple) else "frames"

    async def exchange(self, uri: str) -> None:
        """Connect, and have one thing said back."""
        async with self.connect(uri) as made:
            if not isinstance(made, tuple):
                frame = make_frame(0, 100)
                await made.send(ask("echo"), frame)
                expect(await made.receive() == frame, "a frame was not echoed")
                return
        async with self.client(uri) as client:
            await client.call_tool("echo", {"text": "hello"})


def expect(condition: object, message: str) -> None:
    """Fail the check with `message` unless `condition` holds."""
    if not condition:
        raise AssertionError(message)


@contextmanager
def promptly(what: str, seconds: float | None = None) -> Generator[None]:
    """Fail unless the block ends in time: within `PROMPTLY`, unless told otherwise."""
    seconds = PROMPTLY if seconds is None else seconds
    with anyio.move_on_after(seconds) as scope:
        yield
    expect(not scope.cancelled_caught, f"{what}: not within {seconds:g} s")


@contextmanager
def expecting(*errors: type[Exception], what: str) -> Generator[None]:
    """Fail unless the block raises one of `errors`."""
    names = " or ".join(error.__name__ for error in errors)
    try:
        yield
    except errors:
        return
    except (TransportError, OSError, ValueError, anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
        raise AssertionError(f"{what} must raise {names}, and raised {exc!r}") from exc
    raise AssertionError(f"{what} must raise {names}, and raised nothing")


@asynccontextmanager
async def no_tasks_left(what: str) -> AsyncGenerator[None]:
    """Fail if tasks that the block started are still there a moment after it."""
    before = {task.id for task in anyio.get_running_tasks()}
    yield
    left: list[anyio.TaskInfo] = []
    with anyio.move_on_after(PROMPTLY):
        while left := [task for task in anyio.get_running_tasks() if task.id not in before]:
            await checkpoint()
    gc.collect()  # what was not closed says so now
    expect(not left, f"{what} left tasks running: {', '.join(str(task.name) for task in left)}")


# --- checks ---


CheckFunction = Callable[[Subject], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Check:
    """One clause of the contract: an async callable that takes a `Subject`.

    Raises:
        ContractViolation: the subject breaks the clause.
        NotApplicable: the subject cannot be asked this.
    """

    name: str
    text: str
    """The clause, in words."""
    run: CheckFunction
    kinds: frozenset[Kind]
    places: frozenset[Place]
    alone: bool = False
    """It looks at the whole event loop, or at an address nobody serves any more: no other may run beside it."""

    async def __call__(self, subject: Subject) -> None:
        if subject.place not in self.places:
            raise NotApplicable(f"only where the peer is {' or '.join(self.places)}")
        try:
            with anyio.move_on_after(subject.deadline) as scope:
                await self.run(subject)
            expect(not scope.cancelled_caught, f"the check did not end within {subject.deadline:g} s")
        except Exception as exc:
            cause = first_cause(exc)
            if isinstance(cause, NotApplicable):
                raise cause from None
            happened = str(cause) if isinstance(cause, AssertionError) else repr(cause)
            raise ContractViolation(self.name, f"{self.text} {subject.uri}: {happened}") from exc


def first_cause(exc: BaseException) -> BaseException:
    """The first of the errors that tasks have wrapped in groups."""
    while isinstance(exc, BaseExceptionGroup):
        exc = cast("BaseExceptionGroup[BaseException]", exc).exceptions[0]
    return exc


class Clauses(dict[str, Check]):
    """Checks by name, in the order of definition."""

    def check(
        self,
        kinds: tuple[Kind, ...] = ("frames",),
        places: tuple[Place, ...] = ("here", "process"),
        *,
        alone: bool = False,
    ) -> Callable[[CheckFunction], CheckFunction]:
        """Make a function a check: its name is the check's, its docstring the clause."""

        def register(function: CheckFunction) -> CheckFunction:
            name, text = function.__name__, " ".join((function.__doc__ or "").split())
            self[name] = Check(name, text, function, frozenset(kinds), frozenset(places), alone)
            return function

        return register


# --- peers in a process of their own ---


def in_child(uri: str, *, backend: str | None = None) -> Serve:
    """Peers in child processes: one a connection where an address is a command; else one that listens there.

    The child runs this interpreter, and knows the installed transports only. Options must be JSON values.

    Args:
        uri: The address that a child serves.
        backend: The child's event loop, `asyncio` or `trio`; by default the one that the check runs on.
    """

    @asynccontextmanager
    async def serve(endpoint: Endpoint, options: Mapping[str, Any]) -> AsyncGenerator[str]:
        arguments = [uri, "--backend", backend or _running_loop(), "--options", json.dumps(options)]
        command = [sys.executable, "-m", "mcpc.testing", *arguments]
        scheme = parse_uri(uri).scheme
        if traits_of(resolve(scheme)).spawns:
            yield f"{scheme}:{shlex.join(command)}"
            return
        async with await anyio.open_process(command, stderr=None) as process:
            try:
                yield await _first_line(process)
            finally:
                if process.stdin is not None:
                    await process.stdin.aclose()
                with anyio.move_on_after(PROMPTLY):
                    await process.wait()
                if process.returncode is None:
                    process.kill()

    return serve


def _running_loop() -> str:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "trio"
    return "asyncio"


async def _first_line(process: anyio.abc.Process) -> str:
    line = b""
    while process.stdout is not None and not line.endswith(b"\n"):
        line += await process.stdout.receive()
    return line.decode().strip()
