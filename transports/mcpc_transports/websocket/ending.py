"""How a WebSocket connection ends: the states of its end, as a table, and the reasons that users are given.

No I/O. What closes a connection, or finds that it is gone, says so here; who wants to send or to receive asks here.
"""

from collections.abc import Mapping
from enum import StrEnum

from mcpc.errors import ChannelBroken, ChannelClosed, TransportError
from mcpc.machine import step

__all__ = ["TRANSITIONS", "EndEvent", "EndState", "Ending"]


class EndState(StrEnum):
    """Where a connection stands."""

    OPEN = "open"
    """Messages go both ways."""
    MUTE = "mute"
    """Nothing can be sent any more: a write failed, or was cancelled half-way. What the peer sends is still read."""
    ENDED = "ended"
    """The peer has ended it, broke a rule, or is gone. What came before is still handed out."""
    GONE = "gone"
    """The same, and the connection itself is closed."""
    CLOSING = "closing"
    """We close it: our close frame is on its way, and the peer's is waited for."""
    CLOSED = "closed"
    """We have closed it."""


class EndEvent(StrEnum):
    """What can happen to it."""

    TEAR = "tear"
    """A write failed, or was cancelled half-way."""
    END = "end"
    """The peer closed it, broke a rule, fell silent, or the connection was cut."""
    CLOSE = "close"
    """Whoever uses the channel closes it."""
    SHUT = "shut"
    """The connection itself is closed."""


_OPEN, _MUTE, _ENDED = EndState.OPEN, EndState.MUTE, EndState.ENDED
_GONE, _CLOSING, _CLOSED = EndState.GONE, EndState.CLOSING, EndState.CLOSED
_TEAR, _END, _CLOSE, _SHUT = EndEvent.TEAR, EndEvent.END, EndEvent.CLOSE, EndEvent.SHUT

TRANSITIONS: Mapping[EndState, Mapping[EndEvent, EndState]] = {
    _OPEN: {_TEAR: _MUTE, _END: _ENDED, _CLOSE: _CLOSING},
    _MUTE: {_TEAR: _MUTE, _END: _ENDED, _CLOSE: _CLOSING},
    _ENDED: {_TEAR: _ENDED, _END: _ENDED, _CLOSE: _CLOSING, _SHUT: _GONE},
    _GONE: {_TEAR: _GONE, _END: _GONE, _CLOSE: _CLOSING, _SHUT: _GONE},
    _CLOSING: {_TEAR: _CLOSING, _END: _CLOSING, _CLOSE: _CLOSING, _SHUT: _CLOSED},
    _CLOSED: {_TEAR: _CLOSED, _END: _CLOSED, _CLOSE: _CLOSED, _SHUT: _CLOSED},
}
"""From each state, what can happen and where it leads. The connection is closed by us, or after its end; never else."""


class Ending:
    """The end of one connection."""

    __slots__ = ("_mute", "_reason", "is_closed", "is_heard", "state")

    def __init__(self) -> None:
        self.state: EndState = EndState.OPEN
        """Where the connection stands."""
        self.is_heard: bool = True
        """Whether what the peer sends still counts. Of the state, at hand for each message."""
        self.is_closed: bool = False
        """Whether we have closed the channel. Of the state, too."""
        self._reason: tuple[type[TransportError], str, BaseException | None] | None = None
        """Why the peer is heard no more: the first reason counts."""
        self._mute: str | None = None
        """Why nothing can be sent."""

    @property
    def is_mute(self) -> bool:
        """Whether nothing can be written, whatever else has happened."""
        return self._mute is not None

    def tear(self, why: str) -> None:
        """A write failed, or was cancelled half-way."""
        self._move(_TEAR)
        self._mute = why

    def end(self, kind: type[TransportError], text: str, cause: BaseException | None = None) -> None:
        """There is nothing more to hear from the peer.

        Args:
            kind: What whoever receives is given.
            text: The same in words.
            cause: What led to it.
        """
        self._move(_END)
        if self._reason is None:
            self._reason = kind, text, cause

    def close(self) -> bool:
        """Whoever uses the channel closes it. Whether that is news."""
        is_news = not self.is_closed
        self._move(_CLOSE)
        return is_news

    def shut(self) -> None:
        """The connection itself is closed.

        Raises:
            RuntimeError: it was neither closed nor over.
        """
        self._move(_SHUT)

    def check_sendable(self) -> None:
        """Let pass who may send.

        Raises:
            ChannelClosed: we closed the channel.
            ChannelBroken: the connection is over, or a write failed.
        """
        if self.state is _OPEN:
            return
        if self.is_closed:
            raise ChannelClosed("the channel is closed")
        if self._reason is not None:
            _, text, cause = self._reason
            raise ChannelBroken(text) from cause
        raise ChannelBroken(self._mute or "")

    def check_receivable(self) -> None:
        """Let pass who may wait for what the peer sends.

        Raises:
            TransportError: there will be nothing more, and why.
        """
        if self.is_closed:
            raise ChannelClosed("the channel is closed")
        if self._reason is not None:
            kind, text, cause = self._reason
            raise kind(text) from cause

    def _move(self, event: EndEvent) -> None:
        state = self.state = step(TRANSITIONS, self.state, event)
        self.is_heard = state is _OPEN or state is _MUTE
        self.is_closed = state is _CLOSING or state is _CLOSED
