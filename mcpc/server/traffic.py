"""What has gone through a server's logs, counted: those of channels that are forgotten, too. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass

from mcpc.server.journal import Journal

__all__ = ["Traffic"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters that only grow."""

    messages: int = 0
    """Messages that were put into logs."""
    evicted: int = 0
    """Messages that logs have let go of."""
    gaps: int = 0
    """Times that a listener was told that it has missed messages."""

    def plus(self, journals: Iterable[Journal]) -> "Traffic":
        """With what has gone through these logs."""
        messages, evicted, gaps = self.messages, self.evicted, self.gaps
        for journal in journals:
            messages += journal.mailbox.head - journal.mailbox.skipped
            evicted += journal.mailbox.evicted
            gaps += journal.gaps
        return Traffic(messages, evicted, gaps)
