"""What `mcpc store check` does: it shows what a store is like."""

from dataclasses import asdict

import mcpc
from mcpc.cli.mistakes import COMPLETE, FAILED
from mcpc.cli.running import run
from mcpc.cli.speech import printable, put
from mcpc.cli.values import compact

__all__ = ["check"]


def check(uri: str, *, as_json: bool) -> None:
    """Show the store at `uri`."""

    async def main() -> int:
        report = await mcpc.inspect_store(uri)
        if as_json:
            put(compact({**asdict(report), "ok": not report.problems}))
        else:
            _put(report)
        return FAILED if report.problems else COMPLETE

    run(main)


def _put(report: mcpc.StoreReport) -> None:
    schema = "" if report.schema is None else f", schema {report.schema}"
    put(printable(f"{report.engine}{schema}"))
    for name, value in report.settings.items():
        put(printable(f"  {name}: {value}"))
    if report.counts:
        put("  " + ", ".join(f"{name}: {count}" for name, count in report.counts.items()))
    for note in report.notes:
        put(printable(f"note: {note}"))
    for problem in report.problems:
        put(printable(f"problem: {problem}"))
    if not report.problems:
        put("it is set up to keep what it is given" if report.schema is not None else "it can be used")
