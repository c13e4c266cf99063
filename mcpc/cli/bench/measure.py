"""What `mcpc bench` measures: one client and one server, each in a process of its own, over one address."""

import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

import mcpc
from mcpc.cli.addresses import command_address
from mcpc.cli.bench.server import server
from mcpc.transport import traits_of
from mcpc.uri import parse_uri, resolve, transport_options

__all__ = ["Arrivals", "Load", "Measured", "measure"]

TARGET = "mcpc.cli.bench.server:server"
SERVER = [sys.executable, "-m", "mcpc", "serve", TARGET]

WARMING_UP = 0.2
"""Seconds of sending before the first measurement."""


@dataclass(frozen=True)
class Load:
    """What is sent in each of the two measurements."""

    seconds: float
    """How long it sends."""
    rate: int
    """Callbacks a second while latency is measured."""
    size: int
    """Bytes of one callback."""


@dataclass
class Measured:
    """What one transport did."""

    transport: str
    callbacks: int
    """How many arrived, in both measurements."""
    per_second: float
    p50_us: float
    """Median time from the sending in the worker to the call of the listener, in microseconds."""
    p99_us: float
    lost: int
    reordered: int


class Arrivals:
    """Counts what a listener gets."""

    def __init__(self) -> None:
        self.count: int = 0
        self.reordered: int = 0
        self.delays: list[int] = []
        self.last: float = 0.0
        self._expected = 0

    def take(self, message: mcpc.MCPCMessage) -> None:
        """One more."""
        update: Any = message.result
        self.delays.append(time.perf_counter_ns() - update["t"])
        self.last = time.perf_counter()
        self.count += 1
        self.reordered += update["n"] < self._expected
        self._expected = max(self._expected, update["n"] + 1)


async def measure(uri: str, load: Load) -> Measured:
    """Measure callbacks over the transport of `uri`: first as many as go, then at a rate, for their latency.

    Args:
        uri: Where the server is to listen.
        load: What is sent.

    Raises:
        MCPCError: nothing can be served or reached there.
    """
    async with _serving(uri) as address, mcpc.Client(address, provider="mcpc-bench", **_quiet(address)) as client:
        await _run(client, replace(load, seconds=WARMING_UP, rate=0))
        flood, sent, elapsed = await _run(client, replace(load, rate=0))
        paced, sent_paced, _ = await _run(client, load)
    hundredths = statistics.quantiles(paced.delays, n=100) if paced.count > 1 else [float("nan")] * 99
    return Measured(
        parse_uri(uri).scheme,
        flood.count + paced.count,
        flood.count / elapsed,
        hundredths[49] / 1000,
        hundredths[98] / 1000,
        sent + sent_paced - flood.count - paced.count,
        flood.reordered + paced.reordered,
    )


async def _run(client: mcpc.Client, load: Load) -> tuple[Arrivals, int, float]:
    """One task: what arrived, how many were sent, and the seconds until the last was there."""
    arrivals = Arrivals()
    client.add_event_listener(arrivals.take, event="update")
    started = time.perf_counter()
    task = await client.start_task("send", asdict(load))
    sent = await task.result()
    client.remove_event_listener(arrivals.take)
    return arrivals, sent, arrivals.last - started


def _quiet(address: str) -> dict[str, Any]:
    known = transport_options(resolve(parse_uri(address).scheme), "connect")
    return {"errlog": None} if "errlog" in known else {}


@asynccontextmanager
async def _serving(uri: str) -> AsyncGenerator[str]:
    """Serve at `uri`, in another process where the transport allows it; where to dial."""
    traits = traits_of(resolve(parse_uri(uri).scheme))
    if traits.spawns:
        yield command_address(uri, TARGET)
    elif traits.in_process:
        async with mcpc.listen(server, uri) as listener:
            yield listener.uri
    else:
        async with await anyio.open_process([*SERVER, uri], stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE) as process:
            assert process.stderr is not None
            try:
                yield await _announced(BufferedByteReceiveStream(process.stderr))
            finally:
                if process.returncode is None:
                    process.terminate()


async def _announced(stream: BufferedByteReceiveStream) -> str:
    """The address that a server says it serves."""
    said = ""
    try:
        while " at " not in (said := (await stream.receive_until(b"\n", 65536)).decode()):
            pass
    except (anyio.IncompleteRead, anyio.EndOfStream):
        raise mcpc.ConnectFailed(said.strip().removeprefix("error: ") or "the server ended at once") from None
    return said.rpartition(" at ")[2].strip()
