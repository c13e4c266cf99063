"""What a listener is sent, and in which form: announcements and batches of a journal's messages.

Knows nothing of connections: on a framed one the connection's writer takes, elsewhere the request's handler does.
"""

import math
from typing import Any

from mcp_types import RequestId

from mcpc.mailbox import Batch
from mcpc.server.journal import Journal
from mcpc.server.reader import Reader, ReaderState
from mcpc.wire.callbacks import encode_batch, encode_listening, encode_runs
from mcpc.wire.originals import encode_direct
from mcpc.wire.requests import listening_params

__all__ = ["DirectStream", "ListenStream"]

BATCH_MESSAGES = 512
"""Messages of one notification at the most."""
BATCH_BYTES = 128 * 1024
"""Bytes of messages of one notification at the most, unless the first message alone is larger."""
OVERHEAD = 2048
"""Bytes of a notification beside its messages, at the most: commas, method, ids."""


class ListenStream(Reader):
    """One listener's place in a journal's log: what it is sent next.

    On a framed connection it is a source that the connection's writer takes from; elsewhere the
    request's handler takes from it.

    Args:
        journal: What is read.
        listen_id: The id of the listen request.
        after: The number of the last message that the listener has.
        epoch: The journal's, as the listener knows it.
        max_message_size: Bytes of the largest frame that the listener takes; None where it does not say.
        heads: Whether it takes the form with heads once.
        name: What the listener calls this stream, where it may pause it.
    """

    def __init__(
        self,
        journal: Journal,
        listen_id: RequestId,
        after: int,
        epoch: str | None,
        *,
        max_message_size: int | None = None,
        heads: bool = False,
        name: str | None = None,
    ) -> None:
        self.journal = journal
        self.listen_id = listen_id
        self.name = name
        fresh = (epoch is not None and epoch != journal.epoch) or after > journal.mailbox.head
        if not fresh:
            journal.mailbox.acknowledge(after)  # who listens after a number has had what came before it
        super().__init__(0 if fresh else after)
        self._fresh = fresh
        self._encode = encode_runs if heads else encode_batch
        self._room = math.inf if max_message_size is None else max_message_size - OVERHEAD
        """Bytes of messages that one notification may hold."""
        self._batch_bytes = int(min(BATCH_BYTES, max(0, self._room)))
        self._announced: int | None = None
        """The `oldest` that the listener was told; None before it was told anything."""

    def connection_closed(self) -> None:
        """See `Source.connection_closed`."""
        self.journal.leave(self)

    def next(self) -> dict[str, Any] | Batch | None:
        """What to send next: an announcement (its params), a batch, or nothing for now."""
        if self._state is ReaderState.ENDED or self.paused:
            return None
        journal = self.journal
        mailbox = journal.mailbox
        if self._announced is None:
            return self._announce(gap=self._fresh or self.cursor < mailbox.oldest - 1)
        batch = mailbox.read(self.cursor, max_messages=BATCH_MESSAGES, max_bytes=self._batch_bytes)
        if batch is None:
            self.sent(more=False)
            return None
        if batch.first > self.cursor + 1 and batch.first > self._announced:
            return self._announce(gap=True)
        if len(batch.messages[0]) > self._room:
            self._passed(batch.first)
            return self._announce(gap=True, oldest=batch.first + 1)
        self._passed(batch.last)
        return batch

    def _passed(self, last: int) -> None:
        """The listener has what it gets of everything up to `last`."""
        journal = self.journal
        self.cursor = last
        journal.sent = max(journal.sent, last)
        self.sent(more=last < journal.mailbox.head)
        if journal.pressure.waiting:
            journal.pressure.made_room()

    def _announce(self, *, gap: bool, oldest: int = 0) -> dict[str, Any]:
        """Where the log begins for this listener. A message that is over its limit is a gap of one."""
        mailbox = self.journal.mailbox
        self._announced = oldest = max(mailbox.oldest, oldest)
        params = listening_params(self.journal.epoch, oldest=oldest, head=mailbox.head)
        if gap:
            self.journal.gaps += 1
            params["tasks"] = self.journal.describe_tasks()
        return params

    def take(self) -> list[bytes]:
        """The next frame, for a connection's writer."""
        item = self.next() if self.awake else None
        if item is None:
            return []
        if isinstance(item, Batch):
            encode = self._encode if len(item.messages) > 1 else encode_batch  # one message shares its head with none
            return [encode(self.listen_id, item.first, item.messages)]
        return [encode_listening(self.listen_id, item)]


class DirectStream(ListenStream):
    """A listener that speaks the original's form: each message an unsolicited response, no numbers, no replay."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal, "", journal.mailbox.head, None)
        self._announced = 0

    def take(self) -> list[bytes]:
        """The next frames, one a message."""
        item = self.next()
        if isinstance(item, dict):  # a gap: this form has no way to say so
            item = self.next()
        return [encode_direct(message) for message in item.messages] if isinstance(item, Batch) else []
