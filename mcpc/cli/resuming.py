"""Calls that may be made again after they were cut off: each has a file for its channel in the user's state directory.

The file is named for the call: the same tool of the same server with the same words is the same
call, until its end was shown.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcpc.cli.arguments import Arguments
from mcpc.cli.mistakes import UserMistake
from mcpc.cli.state_directory import state_directory

__all__ = ["KEY", "Resumable"]

KEY = "mcpc call"
"""The key of the start: there is one on each channel."""
KEPT = 30 * 24 * 3600.0
"""Seconds after which a call is forgotten whose end nobody has seen."""


@dataclass(frozen=True)
class Resumable:
    """One call, as it was typed."""

    path: Path
    """The file of its channel."""

    @classmethod
    def of(cls, uri: str, tool: str, session: str, arguments: Arguments) -> "Resumable":
        """The call of that tool.

        Raises:
            UserMistake: nothing can be kept.
        """
        directory = state_directory() / "calls"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise UserMistake(f"--resume: nothing can be kept in {directory}: {exc.strerror}") from exc
        _forget_old(directory)
        typed = [uri, tool, session, dict(arguments.given), dict(arguments.base)]
        name = hashlib.sha256(json.dumps(typed, sort_keys=True).encode(errors="surrogatepass")).hexdigest()
        return cls(directory / f"{name[:32]}.channel")

    def forget(self) -> None:
        """Its end was shown: the same again is another call."""
        with suppress(OSError):
            os.unlink(self.path)


def _forget_old(directory: Path) -> None:
    for path in directory.glob("*.channel"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT:
                path.unlink()
