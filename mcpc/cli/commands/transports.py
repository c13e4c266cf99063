"""`mcpc transports`: what is installed, and what it can."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.completing import complete_scheme
from mcpc.cli.params import AsJson, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import installed
else:
    installed = later("mcpc.cli.installed")

__all__ = ["transports"]

OneScheme = Annotated[
    str | None,
    typer.Argument(metavar="SCHEME", help="Only this one.", show_default=False, autocompletion=complete_scheme),
]


def transports(scheme: OneScheme = None, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """Show the installed transports: scheme, package, and the options each takes.

    Options are given to the other commands with --option NAME=VALUE.

    Examples:
      mcpc transports
      mcpc transports ws
      mcpc transports --json
    """
    installed.show_transports(scheme, as_json=as_json)
