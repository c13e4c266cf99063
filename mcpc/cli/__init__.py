"""The command line, `mcpc`: what is typed in `commands`, one file a command; what it does beside them.

It is a user of the library like any other: it holds no rule of the protocol, knows
the names of `mcpc` and the rooms meant for others, and nothing imports it. It needs
the extra `cli`.
"""

import os
import sys
from importlib import import_module

__all__ = ["main"]

NEEDED = ("typer", "rich")
"""What the extra installs."""


def main() -> None:
    """Run the command line and exit."""
    try:
        if "_MCPC_COMPLETE" in os.environ:
            import_module("mcpc.cli.tab").at_a_tab()
        app = import_module("mcpc.cli.app").app
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        sys.stderr.write(f"error: the command line needs {missing}: pip install 'mcpc[cli]'\n")
        sys.exit(1)
    app(prog_name="mcpc")
