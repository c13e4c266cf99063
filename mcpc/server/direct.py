"""Connections whose peer is an original: each has a journal of its own, sent in the direct form (without numbers).

Knows nothing of handshakes; see `originals` for those.
"""

import secrets
from collections.abc import Hashable

from mcpc.framing import Connection
from mcpc.server.journal import Journal
from mcpc.server.streams import DirectStream
from mcpc.server.workshop import Workshop

__all__ = ["DirectForm"]


class _Stream(DirectStream):
    """The listener of one connection; with the connection its journal is let go of."""

    def __init__(self, journal: Journal, form: "DirectForm", connection: Connection) -> None:
        super().__init__(journal)
        self._form = form
        self._connection = connection

    def connection_closed(self) -> None:
        """See `Source.connection_closed`."""
        super().connection_closed()
        self._form.forget(self._connection)


class DirectForm:
    """The connections of a server that are in the direct form."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._journals: dict[Connection, Journal] = {}

    def journal(self, connection: Connection) -> Journal | None:
        """The journal of a connection in the direct form; None for any other."""
        return self._journals.get(connection)

    def open(self, connection: Connection, principal: Hashable | None) -> None:
        """Give a connection of that principal, which shook hands as the original does, a journal of its own.

        Raises:
            MCPCError: there are too many.
        """
        if connection in self._journals:
            return
        journal = self._workshop.journals.open(f"direct:{secrets.token_hex(16)}", principal, connection.name)
        assert journal is not None, "the key is new"
        stream = _Stream(journal, self, connection)
        journal.listen(stream)
        stream.bind(connection.wake)
        self._journals[connection] = journal
        connection.attach(stream)

    def close(self, connection: Connection) -> None:
        """The peer listens in our own form after all: nothing more in the direct form."""
        journal = self._journals.pop(connection, None)
        if journal is None:
            return
        if isinstance(journal.reader, DirectStream):
            connection.detach(journal.reader)
            journal.leave(journal.reader)
        if journal.idle:
            self._workshop.journals.drop(journal)

    def forget(self, connection: Connection) -> None:
        """The connection is gone. Its tasks run on, and what they say is kept as long as any other."""
        self._journals.pop(connection, None)
