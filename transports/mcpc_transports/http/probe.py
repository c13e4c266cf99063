"""The question for a server's era, where it got lost on the way: then the older era's handshake is not tried.

The SDK takes every failed answer to `server/discover` for a server that does not know
it, and a connection that was cut is such an answer here. The older handshake would
succeed a moment later, and the whole connection be of the older era, by mistake.
Knows methods and failures, and nothing of requests.
"""

from mcpc.wire.standard import DISCOVER_METHOD, INITIALIZE_METHOD

__all__ = ["Probe"]


class Probe:
    """What one connection knows of its first question."""

    def __init__(self) -> None:
        self._lost: str | None = None

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
