"""The requests of each HTTP session that wait for their answers: each id once, and no more than may be.

In the stateless era there are no sessions: a request has its answer on a connection of its own, and nothing is counted.
Knows nothing of HTTP.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from mcpc.pending import PendingRequests, weight
from mcpc.wire.message import id_of, is_request

__all__ = ["SessionRequests"]


class SessionRequests:
    """What waits, by session.

    Args:
        make: Makes what bounds the requests of one session.
    """

    def __init__(self, make: Callable[[], PendingRequests]) -> None:
        self._make = make
        self._sessions: dict[str, PendingRequests] = {}

    @contextmanager
    def request(self, session: str | None, message: Mapping[str, Any], text: bytes) -> Generator[Callable[[], None]]:
        """Count a request until it is answered, of which the caller tells by what is yielded, or the context ends.

        Other messages pass.

        Raises:
            FrameError: one of its id waits already, or as many wait as may.
        """
        if session is None or not is_request(message):
            yield lambda: None
            return
        pending = self._sessions.setdefault(session, self._make())
        waiting = [id_of(message)]
        pending.add(waiting[0], weight(text))

        def answered() -> None:
            if waiting:
                pending.discard(waiting.pop())
                if not len(pending):
                    self._sessions.pop(session, None)

        try:
            yield answered
        finally:
            answered()
