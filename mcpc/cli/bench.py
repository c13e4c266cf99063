"""`mcpc bench`: how fast callbacks are on this machine, over each transport."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mcpc.cli.bench_measure import Measured, measure
from mcpc.cli.common import (
    COMPLETE,
    FAILED,
    JsonOption,
    UserMistake,
    VerboseOption,
    compact,
    mistakes_told,
    put,
    run,
    say_error,
)
from mcpc.cli.completing import complete_scheme
from mcpc.cli.places import own_addresses
from mcpc.errors import MCPCError
from mcpc.uri import parse_uri, prepare

__all__ = ["bench"]

BY_DEFAULT = ("memory", "stdio", "unix", "tcp", "ws", "http")


def bench(
    transports: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCHEME|URI",
            help=f"A transport, or an address to serve at. [default: {' '.join(BY_DEFAULT)}]",
            show_default=False,
            autocompletion=complete_scheme,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=600, help="How long each of the two measurements sends.")
    ] = 1.0,
    rate: Annotated[int, typer.Option("--rate", min=1, help="Callbacks a second while latency is measured.")] = 1000,
    size: Annotated[int, typer.Option("--size", min=0, help="Bytes of one callback, as JSON.")] = 280,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure callbacks over each transport, on this machine.

    A background task in a server process of its own sends as fast as it
    may, then at a fixed rate; a plain listener counts them here, over real
    pipes and sockets (memory: in one process). The columns: callbacks a
    second; time from sending to listener, median and 99th percentile; how
    many were lost, or came out of order.

    A comparison with other libraries needs them installed: it is made by
    make bench, in a checkout of the source.

    Exit codes: 0 all arrived in order, 1 one did not or a transport failed,
    2 a mistake, 130 interrupted.

    Examples:
      mcpc bench
      mcpc bench ws unix --seconds 5
      mcpc bench ws://127.0.0.1:9000/mcp --size 4096 --json
    """
    with mistakes_told(), tempfile.TemporaryDirectory(prefix="mcpc-") as directory:
        addresses = _addresses(transports or BY_DEFAULT, Path(directory))
        run(lambda: _bench(addresses, seconds, rate, size, as_json))


def _addresses(wanted: Sequence[str], directory: Path) -> list[str]:
    known = own_addresses(directory)
    addresses: list[str] = []
    for text in wanted:
        uri = known.get(text, text)
        if ":" not in uri:
            raise UserMistake(f"{text!r} is neither an address nor one of {', '.join(known)}")
        prepare(uri, "listen", {})
        addresses.append(uri)
    return addresses


async def _bench(addresses: Sequence[str], seconds: float, rate: int, size: int, as_json: bool) -> int:
    results: list[Measured] = []
    if not as_json:
        put(f"{'transport':<10}{'callbacks/s':>12}{'p50 us':>9}{'p99 us':>9}{'lost':>6}{'reordered':>11}")
    for uri in addresses:
        try:
            found = await measure(uri, seconds=seconds, rate=rate, size=size)
        except MCPCError as exc:
            say_error(f"{parse_uri(uri).scheme}: {exc}")
            continue
        results.append(found)
        if not as_json:
            put(_row(found))
    if as_json:
        put(compact([asdict(found) for found in results]))
    flawless = len(results) == len(addresses) and not any(found.lost or found.reordered for found in results)
    return COMPLETE if flawless else FAILED


def _row(found: Measured) -> str:
    speed = f"{found.transport:<10}{found.per_second:>12,.0f}{found.p50_us:>9,.0f}{found.p99_us:>9,.0f}"
    return f"{speed}{found.lost:>6,}{found.reordered:>11,}"
