"""The reception of a server with a store: a journal is the store's, so that a client may come to any process."""

from collections.abc import Hashable

from mcpc.server.journal import Journal
from mcpc.server.reception import Reception
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import state_of
from mcpc.server.stored_workshop import StoredWorkshop
from mcpc.stored import channel_id

__all__ = ["StoredReception"]


class StoredReception(Reception):
    """The reception of a workshop with a store.

    Args:
        workshop: The workshop.
    """

    workshop: StoredWorkshop

    def __init__(self, workshop: StoredWorkshop) -> None:
        super().__init__(workshop)

    async def open_journal(
        self, key: str, principal: Hashable | None, session_id: str = "", client: Hashable | None = None
    ) -> Journal | None:
        """See `Reception.open_journal`."""
        return await self.workshop.shelf.open(channel_id(key), principal, session_id, client)

    def known_journal(self, key: str, principal: Hashable | None) -> Journal | None:
        """See `Reception.known_journal`."""
        return self.workshop.journals.find(channel_id(key), principal)

    async def expect_listener(self, journal: Journal, after: int, epoch: str | None) -> None:
        """See `Reception.expect_listener`."""
        if isinstance(journal, StoredJournal):
            try:
                with self.workshop.shelf.expecting(journal.key):
                    await self._expect(journal, after, epoch)
            except BaseException:  # the store may have been told of it already
                self.left(journal)
                raise

    async def _expect(self, journal: StoredJournal, after: int, epoch: str | None) -> None:
        await self.workshop.shelf.expect_listener(journal, after, epoch)
        tasks = await self.workshop.store().tasks(journal.key)
        described = [self.workshop.describe(state_of(task), last_message=False) for task in tasks]
        journal.describe_tasks = lambda: described

    def left(self, journal: Journal) -> None:
        """See `Reception.left`."""
        if isinstance(journal, StoredJournal) and self.workshop.host.is_open:
            self.workshop.shelf.left(journal)
