"""An address as it was typed: what it stands for, and what may have been meant by one that is none."""

import re
import shlex
import sys

from mcpc.cli.mistakes import UserMistake

__all__ = ["address_of"]

FILE = re.compile(r"[^:]+\.py(?::[A-Za-z_][\w.]*)?")
"""`app.py` or `app.py:server`: a server in a file, which is run for this one command."""

HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):\d{1,5}(?:/\S*)?")
"""`127.0.0.1:8000`, `localhost:8000/mcp`: a host and a port, and no word of how to speak to it."""


def address_of(text: str) -> str:
    """The address that was meant.

    Raises:
        UserMistake: it has no scheme; the message says which it may be.
    """
    if FILE.fullmatch(text):
        return f"stdio:{shlex.join([sys.executable, '-m', 'mcpc', 'serve', text, 'stdio:'])}"
    if HOST.fullmatch(text):
        place, _, path = text.partition("/")
        tries = ", ".join(f"{scheme}://{place}/{path or 'mcp'}" for scheme in ("http", "ws"))
        raise UserMistake(f"{text!r} does not say how to speak to it: did you mean {tries} or tcp://{place}?")
    return text
