"""The transport contract over every scheme that is registered, so that none can be forgotten.

Most of what a clause does is wait, so the clauses of one scheme run side by side,
once for each event loop; each is a test of its own all the same.
"""

import json
import shlex
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
import trustme

from mcpc.testing import (
    Check,
    ContractViolation,
    NotApplicable,
    Serve,
    Subject,
    check_transport,
    contract_checks,
    in_child,
)
from mcpc.transport import Endpoint
from mcpc.uri import schemes
from support import HERE

SCHEMES = schemes()
BOTH_LOOPS = ("asyncio", "trio")
SIDE_BY_SIDE = 8

Outcome = Exception | None


@dataclass(frozen=True)
class Row:
    """How a scheme is brought under contract."""

    uri: str
    """The address to serve; `{n}` is a number of the clause's own, `{dir}` a directory."""
    kind: Literal["frames", "streams"] = "frames"
    backends: tuple[str, ...] = BOTH_LOOPS
    """The event loops that its listeners run on."""
    secure: bool = False
    place: Literal["here", "process"] = "here"


ROWS = {
    "memory": Row("memory://contract-{n}"),
    "stdio": Row("stdio:", place="process"),
    "unix": Row("unix://{dir}/{n}.sock"),
    "tcp": Row("tcp://127.0.0.1:0"),
    "ws": Row("ws://127.0.0.1:0/mcp"),
    "wss": Row("wss://127.0.0.1:0/mcp", secure=True),
    "http": Row("http://127.0.0.1:0/mcp", "streams", ("asyncio",)),
    "https": Row("https://127.0.0.1:0/mcp", "streams", ("asyncio",), secure=True),
    "sse+http": Row("sse+http://127.0.0.1:0/sse", "streams", ("asyncio",)),
    "sse+https": Row("sse+https://127.0.0.1:0/sse", "streams", ("asyncio",), secure=True),
}

VANISHING = ("tcp", "unix", "ws")
"""Schemes whose peers can be in a process of their own too, to die there."""
ASYNCIO_SERVERS = ("http", "sse+http")
"""Schemes that are dialled from trio, with the listener in another process."""


class Suite:
    """Runs the clauses of a row, once, and keeps how each ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._warm: subprocess.Popen[bytes] | None = None
        self._known: dict[tuple[str, str, str], dict[str, Outcome]] = {}
        authority = trustme.CA()
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate: Any = authority.issue_cert("127.0.0.1", "localhost")
        certificate.configure_cert(self._server)
        self._client = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())

    def options(self, row: Row) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options to connect, and to listen."""
        return ({"ssl_context": self._client}, {"ssl_context": self._server}) if row.secure else ({}, {})

    def address(self, row: Row, number: int, backend: str) -> str:
        """Where clause `number` is served."""
        return row.uri.format(n=f"{backend}-{number}", dir=self._directory)

    def here(self, scheme: str, backend: str) -> dict[str, Outcome]:
        """Every clause, with the listeners in this process (and the servers of `stdio:` in children)."""
        row = ROWS[scheme]
        connect, listen = self.options(row)

        def subject(number: int) -> Subject:
            address = self.address(row, number, backend)
            if scheme == "stdio":
                return Subject(address, serve=self.warm(backend), nowhere="stdio:no-such-command")
            return Subject(address, connect_options=connect, listen_options=listen)

        async def main() -> dict[str, Outcome]:
            return await run_all(contract_checks(row.kind, row.place), subject, SIDE_BY_SIDE)

        return self._once(("here", scheme, backend), backend, main)

    def warm(self, backend: str) -> Serve:
        """Starts peers for `stdio:` without the second that their imports take."""
        script = str(HERE / "warm_stdio.py")
        path = str(self._directory / "warm")
        if self._warm is None:
            command = [sys.executable, script, "serve", path]
            self._warm = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert self._warm.stdout is not None
            assert self._warm.stdout.readline() == b"ready\n"

        @asynccontextmanager
        async def serve(endpoint: Endpoint, options: Mapping[str, Any]) -> AsyncGenerator[str]:
            peer = ["stdio:", "--backend", backend, "--options", json.dumps(options)]
            yield f"stdio:{shlex.join([sys.executable, '-I', '-S', script, 'relay', path, *peer])}"

        return serve

    def close(self) -> None:
        """End the warm process."""
        if self._warm is not None:
            with self._warm:
                self._warm.terminate()

    def dying(self, scheme: str, backend: str) -> dict[str, Outcome]:
        """The clauses that need a peer in a process of its own, and only these."""
        only_there = {name: check for name, check in contract_checks("frames").items() if "here" not in check.places}
        address = self.address(ROWS[scheme], 1000, backend)

        async def main() -> dict[str, Outcome]:
            serve = in_child(address, backend=backend)
            return await run_all(only_there, lambda number: Subject(address, serve=serve), 1)

        return self._once(("dying", scheme, backend), backend, main)

    def from_trio(self, scheme: str) -> dict[str, Outcome]:
        """Every clause that can be, dialled from trio; the listener is an asyncio child."""
        row = ROWS[scheme]

        async def main() -> dict[str, Outcome]:
            async with shared_child(row.uri, "asyncio") as serve:
                checks = contract_checks(row.kind, "process")
                return await run_all(checks, lambda number: Subject(row.uri, serve=serve, nowhere=nowhere(row.uri)), 4)

        return self._once(("from trio", scheme, "trio"), "trio", main)

    def _once(
        self, key: tuple[str, str, str], backend: str, main: Callable[[], Awaitable[dict[str, Outcome]]]
    ) -> dict[str, Outcome]:
        if key not in self._known:
            self._known[key] = anyio.run(main, backend=backend)
        return self._known[key]


async def run_all(checks: Mapping[str, Check], make: Callable[[int], Subject], side_by_side: int) -> dict[str, Outcome]:
    """Run the checks, those that may be side by side so, then the others; how each ended."""
    outcomes: dict[str, Outcome] = {}
    limiter = anyio.CapacityLimiter(side_by_side)

    async def run(check: Check, number: int) -> None:
        async with limiter:
            try:
                await check(make(number))
                outcomes[check.name] = None
            except (ContractViolation, NotApplicable) as exc:
                outcomes[check.name] = exc

    numbered = list(enumerate(checks.values()))
    async with anyio.create_task_group() as tasks:
        for number, check in numbered:
            if not check.alone:
                tasks.start_soon(run, check, number)
    for number, check in numbered:
        if check.alone:
            await run(check, number)
    return outcomes


@asynccontextmanager
async def shared_child(uri: str, backend: str) -> AsyncGenerator[Serve]:
    """One child for all the checks that need no options, and one more for each that does."""
    start = in_child(uri, backend=backend)

    @asynccontextmanager
    async def serve(endpoint: Endpoint, options: Mapping[str, Any]) -> AsyncGenerator[str]:
        if not options:
            yield shared
            return
        async with start(endpoint, options) as own:
            yield own

    async with start(Nobody(), {}) as shared:
        yield serve


class Nobody:
    """What a child takes for an endpoint: it has its own."""

    server: Any = None

    async def serve_channel(self, channel: Any, peer: Any) -> None:
        """Never called."""

    async def serve_streams(self, read: Any, write: Any, peer: Any) -> None:
        """Never called."""


def nowhere(uri: str) -> str:
    """An address at which nobody listens: the port is reserved for that (tcpmux, long out of use)."""
    return uri.replace(":0/", ":1/")


def judge(outcome: Outcome) -> None:
    """A violation fails the test."""
    if isinstance(outcome, NotApplicable):
        pytest.skip(str(outcome))
    if outcome is not None:
        raise outcome


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Generator[Suite]:
    """The runs that the tests of this module share."""
    suite = Suite(tmp_path_factory.mktemp("c"))
    yield suite
    suite.close()


def all_clauses() -> list[tuple[str, str, str]]:
    """Scheme, event loop and clause of every test."""
    return [
        (scheme, backend, name)
        for scheme, row in ROWS.items()
        for backend in row.backends
        for name in contract_checks(row.kind, row.place)
    ]


def test_every_registered_scheme_is_under_contract() -> None:
    assert set(SCHEMES) == set(ROWS)


@pytest.mark.parametrize(("scheme", "backend", "clause"), all_clauses())
def test_a_transport_keeps_the_contract(suite: Suite, scheme: str, backend: str, clause: str) -> None:
    judge(suite.here(scheme, backend)[clause])


@pytest.mark.parametrize("backend", BOTH_LOOPS)
@pytest.mark.parametrize("scheme", VANISHING)
def test_a_peer_whose_process_dies_is_noticed(suite: Suite, scheme: str, backend: str) -> None:
    outcomes = suite.dying(scheme, backend)
    assert "a_peer_that_vanishes_is_noticed" in outcomes
    for outcome in outcomes.values():
        judge(outcome)


@pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")  # the SDK's, on trio
@pytest.mark.parametrize("clause", contract_checks("streams", "process"))
@pytest.mark.parametrize("scheme", ASYNCIO_SERVERS)
def test_a_transport_whose_listener_needs_asyncio_is_dialled_from_trio(suite: Suite, scheme: str, clause: str) -> None:
    judge(suite.from_trio(scheme)[clause])


@pytest.mark.anyio
async def test_the_peers_of_stdio_are_started_without_help() -> None:
    await check_transport("stdio:", only=["a_peer_that_vanishes_is_noticed"])


@pytest.mark.anyio
async def test_the_whole_contract_runs_in_one_call() -> None:
    await check_transport("memory://in-one-call", connections=5)


@pytest.mark.anyio
async def test_clauses_are_chosen_by_name_and_a_wrong_name_is_told() -> None:
    with pytest.raises(ValueError, match="no such clause: no_such_clause"):
        await check_transport("memory://chosen", only=["no_such_clause"])
    await check_transport("memory://chosen", only=["frames_arrive_whole_and_in_order"])
