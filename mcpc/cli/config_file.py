"""Which configuration of servers is meant. Imports nothing that takes time: a shell asks at each Tab."""

import os
from pathlib import Path

__all__ = ["configuration"]

VARIABLE = "MCPC_CONFIG"
"""The environment variable that names the configuration where no option does."""

USUAL = "mcp.json"
"""Its name in the directory that the command runs in, where nothing names it."""


def configuration(chosen: "Path | str | None") -> Path | None:
    """The file that is meant; None where there is none."""
    given = chosen or os.environ.get(VARIABLE)
    if given:
        return Path(given)
    return Path(USUAL) if Path(USUAL).is_file() else None
