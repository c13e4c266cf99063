"""`mcpc store check`: whether a store can be reached, and is set up to keep what it is given."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.params import AsJson, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import inspecting
else:
    inspecting = later("mcpc.cli.inspecting")

__all__ = ["check"]

Address = Annotated[
    str, typer.Argument(metavar="URI", help="The store: sqlite:tasks.db, redis://host:6379/0.", show_default=False)
]


def check(uri: Address, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """See whether a store can be reached, and is set up to keep what it is given.

    Shows what keeps it, how that is set up, the number of its schema, and how
    much is in it. Nothing is made or changed. The exit code is 0 where all is
    well, 1 where it may lose what it is given, and 2 where it cannot be used.

    Examples:
      mcpc store check sqlite:tasks.db
      mcpc store check redis://cache:6379/0
      mcpc store check sqlite:tasks.db --json
    """
    inspecting.check(uri, as_json=as_json)
