"""What clients ask of a workshop's journals: to open one, and to listen to it.

Each may have to be waited for (`stored_reception` asks a store). What is asked of tasks is `desk`. Knows nothing of
requests or the wire.
"""

from collections.abc import Hashable

from mcpc.server.journal import Journal
from mcpc.server.workshop import Workshop

__all__ = ["MAX_KEY", "MIN_KEY", "Reception"]

MIN_KEY, MAX_KEY = 16, 256
"""Characters of a channel's key."""


class Reception:
    """The reception of a workshop where all is in memory.

    Args:
        workshop: The workshop.
    """

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop

    async def open_journal(
        self, key: str, principal: Hashable | None, session_id: str = "", client: Hashable | None = None
    ) -> Journal | None:
        """The journal of that channel key, made where there is none; None where it is another principal's.

        Raises:
            MCPCError: there are too many.
        """
        journal = self.workshop.journals.open(key, principal, client)
        if journal is not None and session_id:
            journal.name_session(session_id)
        return journal

    def known_journal(self, key: str, principal: Hashable | None) -> Journal | None:
        """The journal of that channel key here; None where there is none, or it is another principal's."""
        return self.workshop.journals.find(key, principal)

    async def expect_listener(self, journal: Journal, after: int, epoch: str | None) -> None:
        """Somebody is about to listen after that number of that epoch."""

    def left(self, journal: Journal) -> None:
        """A listener has gone."""
