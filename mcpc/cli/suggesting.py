"""Whoever is refused at an address may have meant another one at the same place."""

import re
import ssl
from collections.abc import Generator
from contextlib import contextmanager

from mcp import MCPError

import mcpc
from mcpc.cli.addresses import likely
from mcpc.cli.mistakes import UserMistake, explanation, the_one

__all__ = ["suggesting"]

OTHER_CREDENTIALS = re.compile(r"\bHTTP 40[13]\b")
"""How a refusal reads that is no matter of the address."""


@contextmanager
def suggesting(uri: str) -> Generator[None]:
    """Around what dials `uri`.

    Raises:
        UserMistake: the peer refused us, and another address is likely meant.
    """
    try:
        yield
    except Exception as exc:
        cause = the_one(exc)
        answered = isinstance(cause, MCPError | mcpc.ConnectFailed) and not _is_unreachable(cause)
        text = explanation(cause) or ""
        if not answered or OTHER_CREDENTIALS.search(text) or not (hint := likely(uri)):
            raise
        raise UserMistake(f"{text}; {hint}") from exc


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether nobody was there to answer: the system said so. What TLS says is somebody's answer."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | mcpc.MCPCError):
            return True
        hidden = error.__cause__ is None and error.__suppress_context__
        error = None if hidden else error.__cause__ or error.__context__
    return False
