"""Fixtures for pytest: `mcpc_client`, `mcpc_server`, `mcpc_faulty`. pytest loads this by its entry point, nobody else.

Each makes what a test asks it for, and it is closed after the test, the last one first. They are for tests that anyio's
pytest plugin runs, on asyncio or trio; that plugin comes with anyio, so it is there. With this module comes nothing but
the library's front door: the rest is imported by the first test that uses a fixture.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.abc
import pytest

import mcpc

if TYPE_CHECKING:
    from mcpc.client import Client
    from mcpc.server import Served
    from mcpc.testing import FaultyTransport

__all__ = ["Faulty", "MakeClient", "MakeFaulty", "MakeServer"]

T = TypeVar("T")

NO_PLUGIN = "anyio's pytest plugin is switched off, and {name} is for tests that it runs; leave out `-p no:anyio`"
NOT_RUN_BY_ANYIO = (
    "{name} is for async tests that anyio's pytest plugin runs: mark the test with @pytest.mark.anyio, or the file "
    "with `pytestmark = pytest.mark.anyio`, or set `anyio_mode = auto`. Tests of another plugin can open the same "
    "themselves: `async with mcpc.Client(server) as client`."
)


def _room(name: str) -> Any:
    """A module of ours, imported now. (pytest looks at all that stands in this one, so nothing may wait in it.)"""
    return import_module(f"mcpc.{name}")


class _Kept:
    """A context that is open in a task of its own."""

    def __init__(self, context: AbstractAsyncContextManager[Any]) -> None:
        self._context = context
        self._over = anyio.Event()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self._entered = anyio.Event()
        self._value: Any = None
        self.failure: Exception | None = None
        """What it ended with."""

    async def run(self) -> None:
        try:
            with self._scope:
                async with self._context as self._value:
                    self._entered.set()
                    await self._over.wait()
        except Exception as exc:
            self.failure = exc
        finally:
            self._entered.set()
            self._ended.set()

    async def value(self) -> Any:
        """What the context gives, once it is entered. Whoever is cancelled meanwhile wants it no more."""
        try:
            await self._entered.wait()
        except BaseException:
            self._scope.cancel()
            raise
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return self._value

    async def close(self) -> None:
        self._over.set()
        await self._ended.wait()


class _Opened:
    """What a test has opened.

    Each is entered in a task of its own, so a test may ask for it within `fail_after` or a task group, and keep it.
    """

    def __init__(self, group: anyio.abc.TaskGroup) -> None:
        self._group = group
        self._kept: list[_Kept] = []

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        kept = _Kept(context)
        self._kept.append(kept)
        self._group.start_soon(kept.run)
        return await kept.value()

    async def close(self) -> list[Exception]:
        """Close all, the last one first; what they failed with."""
        for kept in reversed(self._kept):
            await kept.close()
        return [kept.failure for kept in reversed(self._kept) if kept.failure is not None]


class MakeClient:
    """What the fixture `mcpc_client` gives: `client = await mcpc_client(server)`."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    async def __call__(self, server: Any, **options: Any) -> "Client":
        """A client, connected; closed after the test.

        Args:
            server: As `mcpc.Client` takes it: a server object (in memory), or an address.
            options: Those of `mcpc.Client`.

        Raises:
            ConnectFailed: nobody answered, or the peer refused us.
        """
        return await self._opened.enter(mcpc.Client(server, **options))


class MakeServer:
    """What the fixture `mcpc_server` gives: `served = await mcpc_server(server, "tcp://127.0.0.1:0")`."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    async def __call__(self, server: Any, address: str, **options: Any) -> "Served":
        """A server, served at an address until the test is over. `served.uri` can be dialled.

        Args:
            server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
            address: Where; port 0 is any free one.
            options: Those of `mcpc.listen`.

        Raises:
            ListenFailed, URIError: the address cannot be used.
        """
        return await self._opened.enter(mcpc.listen(server, address, **options))


class Faulty:
    """A server whose clients have bad connections."""

    def __init__(self, address: str, transport: "FaultyTransport") -> None:
        self.uri = address
        """Where to dial for a connection that fails as planned."""
        self.transport = transport
        """What does the harm, and counts it: `transport.cuts`, …"""


class MakeFaulty:
    """What the fixture `mcpc_faulty` gives: `faulty = await mcpc_faulty(server, "tcp://127.0.0.1:0", cuts=[10])`."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self._made = 0

    async def __call__(self, server: Any, address: str, **faults: Any) -> Faulty:
        """A server, served until the test is over, and an address at which each connection fails as planned.

        Args:
            server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
            address: Where; of a transport of frames. Port 0 is any free one.
            faults: Those of `mcpc.testing.FaultyTransport`: `cuts`, `delay`, `stall_after_frames`, `refusals`, …

        Raises:
            ListenFailed, URIError: the address cannot be used.
            ValueError: a fault makes no sense.
        """
        self._made += 1
        scheme, _, rest = address.partition(":")
        name = f"faulty-{self._made}"
        transport = _room("testing").FaultyTransport(scheme, **faults)
        mcpc.register_transport(name, transport, replace=True)
        served = await self._opened.enter(mcpc.listen(server, f"{name}:{rest}"))
        return Faulty(served.uri, transport)


@pytest.fixture
async def _mcpc_opened() -> AsyncGenerator[_Opened]:  # pyright: ignore[reportUnusedFunction]
    """What a test has opened with the fixtures below."""
    failures: list[Exception] = []
    async with anyio.create_task_group() as group:
        opened = _Opened(group)
        yield opened
        failures += await opened.close()
    if failures:
        raise failures[0]


def _opened(request: pytest.FixtureRequest, name: str) -> Any:
    if "anyio_backend" not in request.fixturenames:
        has_anyio = request.config.pluginmanager.has_plugin("anyio")
        pytest.fail((NOT_RUN_BY_ANYIO if has_anyio else NO_PLUGIN).format(name=name), pytrace=False)
    return request.getfixturevalue("_mcpc_opened")


@pytest.fixture
def mcpc_client(request: pytest.FixtureRequest) -> MakeClient:
    """Connect a client: `client = await mcpc_client(server)`, or an address; closed after the test."""
    return MakeClient(_opened(request, "mcpc_client"))


@pytest.fixture
def mcpc_server(request: pytest.FixtureRequest) -> MakeServer:
    """Serve a server: `served = await mcpc_server(server, "tcp://127.0.0.1:0")`; until the test is over."""
    return MakeServer(_opened(request, "mcpc_server"))


@pytest.fixture
def mcpc_faulty(request: pytest.FixtureRequest) -> Any:
    """The same with bad connections: `faulty = await mcpc_faulty(server, "tcp://127.0.0.1:0", cuts=[10])`."""
    opened = _opened(request, "mcpc_faulty")
    with _room("uri").TRANSPORTS.restored():
        yield MakeFaulty(opened)
