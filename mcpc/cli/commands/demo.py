"""`mcpc demo`: one background tool over every transport at once."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.params import Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli.demo import show
else:
    show = later("mcpc.cli.demo.show")

__all__ = ["demo"]

Seconds = Annotated[float, typer.Option("--seconds", min=0.5, max=600, help="How long each task works.")]


def demo(seconds: Seconds = 4.0, verbose: Verbose = False) -> None:
    """See callbacks arrive: one background tool over every transport at once.

    Real sockets and a real child process; they are gone when it ends. One
    task asks a question and is answered, one is redirected on its way. The
    exit code is 0 when every update of every task arrived, in order.

    Examples:
      mcpc demo
      mcpc demo --seconds 20
    """
    show.show_demo(seconds)
