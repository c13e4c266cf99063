"""Where the command line keeps what it remembers (XDG Base Directory Specification)."""

import os
from pathlib import Path

__all__ = ["state_directory"]


def state_directory() -> Path:
    """The user's own; it need not be there yet."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    return base / "mcpc"
