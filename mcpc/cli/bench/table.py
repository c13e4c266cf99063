"""What `mcpc bench` does: it measures one address after the other, and shows what came of it."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import mcpc
from mcpc.cli.bench.measure import Load, Measured, measure
from mcpc.cli.mistakes import COMPLETE, FAILED, UserMistake, mistakes_told
from mcpc.cli.places import newest, own_addresses
from mcpc.cli.running import run
from mcpc.cli.speech import put, say_error
from mcpc.cli.values import compact
from mcpc.uri import parse_uri, prepare

__all__ = ["Load", "show_bench"]


def show_bench(transports: Sequence[str] | None, load: Load, *, as_json: bool) -> None:
    """Measure callbacks over each transport, and show it."""
    with mistakes_told(), tempfile.TemporaryDirectory(prefix="mcpc-") as directory:
        addresses = _addresses(transports, Path(directory))
        run(lambda: _bench(addresses, load, as_json))


def _addresses(wanted: Sequence[str] | None, directory: Path) -> list[str]:
    known = own_addresses(directory)
    addresses: list[str] = []
    for text in wanted or newest(known):
        uri = known.get(text, text)
        if ":" not in uri:
            raise UserMistake(f"{text!r} is neither an address nor one of {', '.join(known)}")
        prepare(uri, "listen", {})
        addresses.append(uri)
    return addresses


async def _bench(addresses: Sequence[str], load: Load, as_json: bool) -> int:
    results: list[Measured] = []
    if not as_json:
        put(f"{'transport':<10}{'callbacks/s':>12}{'p50 us':>9}{'p99 us':>9}{'lost':>6}{'reordered':>11}")
    for uri in addresses:
        try:
            found = await measure(uri, load)
        except mcpc.MCPCError as exc:
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
