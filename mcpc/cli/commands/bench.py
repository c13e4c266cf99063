"""`mcpc bench`: how fast callbacks are on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.completing import complete_scheme
from mcpc.cli.params import AsJson, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli.bench import table
else:
    table = later("mcpc.cli.bench.table")

__all__ = ["bench"]

Wanted = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SCHEME|URI",
        help="A transport, or an address to serve at. [default: memory stdio unix tcp ws http]",
        show_default=False,
        autocompletion=complete_scheme,
    ),
]
Seconds = Annotated[
    float, typer.Option("--seconds", min=0.1, max=600, help="How long each of the two measurements sends.")
]
Rate = Annotated[int, typer.Option("--rate", min=1, help="Callbacks a second while latency is measured.")]
Size = Annotated[int, typer.Option("--size", min=0, help="Bytes of one callback, as JSON.")]


def bench(
    transports: Wanted = None,
    seconds: Seconds = 1.0,
    rate: Rate = 1000,
    size: Size = 280,
    as_json: AsJson = False,
    verbose: Verbose = False,
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
    table.show_bench(transports, table.Load(seconds, rate, size), as_json=as_json)
