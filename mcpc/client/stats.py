"""What a client holds before anybody has it, and what it lost or refused: a reading of its counters.

Knows nothing of how they come about. What waits for a listener or in a handle is counted there.
"""

from dataclasses import dataclass

from mcpc.client.inbox import Inbox

__all__ = ["ClientStats", "read_stats"]


@dataclass(frozen=True, slots=True)
class ClientStats:
    """A reading of a client's counters, taken now."""

    backlog: int
    """Messages that wait for room, as they cannot come again."""
    backlog_bytes: int
    """Bytes of them."""
    under_way: int
    """Messages that were on their way when there was no more room, and wait for some."""
    under_way_bytes: int
    """Bytes of them."""
    dropped: int
    """Messages that could not come again and for which there was no room for too long."""
    gaps: int
    """How often messages were missed: each was told as a `gap`."""
    bad_messages: int
    """What came as a callback and was not an MCPC message."""


def read_stats(inbox: Inbox) -> ClientStats:
    """A reading of an inbox's counters."""
    return ClientStats(
        backlog=len(inbox.backlog),
        backlog_bytes=inbox.backlog.size,
        under_way=inbox.under_way,
        under_way_bytes=inbox.kept.size,
        dropped=inbox.backlog.dropped,
        gaps=inbox.gaps,
        bad_messages=inbox.bad_messages,
    )
