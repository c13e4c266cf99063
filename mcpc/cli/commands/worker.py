"""`mcpc worker`: a process that runs a server's tasks, and listens nowhere."""

from typing import TYPE_CHECKING, Annotated

import typer

from mcpc.cli.params import Store, Verbose
from mcpc.later import later

if TYPE_CHECKING:
    from mcpc.cli import working
else:
    working = later("mcpc.cli.working")

__all__ = ["worker"]

Target = Annotated[
    str, typer.Argument(metavar="SERVER", help="app.py:server or package.module:server.", show_default=False)
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", "-c", metavar="N", min=1, help="Tasks that run at once in this process.")
]


def worker(target: Target, store: Store = None, concurrency: Concurrency = 100, verbose: Verbose = False) -> None:
    """Run the tasks of a server's tools that were made with run="worker".

    It is the same file, with the same store, as of the servers that are
    called: they leave their tasks in the store, and any number of workers
    take them from there. What a worker says reaches the client wherever that
    listens. Ctrl-C or SIGTERM gives back the tasks that may run again, for
    another worker to go on with at once, stops the others, and ends with exit
    code 0.

    Examples:
      mcpc worker app.py:server --store redis://cache:6379/0
      mcpc worker app.py:server --store sqlite:tasks.db --concurrency 4
    """
    working.work(target, store, concurrency)
