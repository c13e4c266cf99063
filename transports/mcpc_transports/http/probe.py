"""The first questions of a connection: the one for the server's era, where it got lost, and a handshake refused.

Where the former got lost on the way the older era's handshake is not tried.

The SDK takes every failed answer to `server/discover` for a server that does not know
it, and a connection that was cut is such an answer here. The older handshake would
succeed a moment later, and the whole connection be of the older era, by mistake.
A handshake refused by HTTP itself is a refusal of us, which dialling again does not
change. Knows methods and failures, and nothing of requests.
"""

from typing import Any

from pydantic_core import from_json

from mcpc.errors import ConnectRefused
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import ERROR
from mcpc.wire.standard import DISCOVER_METHOD, INITIALIZE_METHOD

__all__ = ["Probe"]


class Probe:
    """What one connection knows of its first questions."""

    def __init__(self) -> None:
        self._lost: str | None = None
        self._refusal: str | None = None

    @property
    def was_lost(self) -> bool:
        """Whether the next request may be one that has to fail."""
        return self._lost is not None

    def lose(self, method: str | None, why: str) -> None:
        """A request did not get there, or its answer not back."""
        if method == DISCOVER_METHOD:
            self._lost = why

    def refusal(self, method: str | None) -> str | None:
        """Why a request is not sent; None where it is."""
        return self._lost if method == INITIALIZE_METHOD else None

    def refused(self, method: str | None, body: bytes, text: str) -> None:
        """A request was refused by a status that stands (`FINAL_STATUSES`).

        Args:
            method: The request's.
            body: What came with it.
            text: Who answered what, for people.
        """
        if method == INITIALIZE_METHOD:
            self._refusal = f"{text}{_reason(body)}"

    def check(self) -> None:
        """Say it where the handshake was refused.

        Raises:
            ConnectRefused: it was.
        """
        if self._refusal is not None:
            raise ConnectRefused(self._refusal)


def _reason(body: bytes) -> str:
    """What a server says with a refusal, where that is a JSON-RPC error."""
    try:
        message: Any = as_object(as_object(from_json(body)).get(ERROR)).get("message")
    except ValueError:
        return ""
    return f": {message}" if isinstance(message, str) else ""
