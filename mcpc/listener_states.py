"""Where a listener's registration stands, and what leads from one state to the next. Knows nothing of listeners."""

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["TRANSITIONS", "ListenerEvent", "ListenerState"]


class ListenerState(StrEnum):
    """Where a listener's registration stands."""

    IDLE = "idle"
    """Its worker has not begun. A sync listener has none, and is always idle."""
    WORKING = "working"
    """Its worker has a message."""
    WAITING = "waiting"
    """Its worker waits for the next one."""
    CLOSING = "closing"
    """No more messages come: its worker ends once its queue is empty."""
    CLOSED = "closed"
    """Its worker has ended. A message that comes all the same gets one of its own."""
    REMOVED = "removed"
    """It is called no more."""


class ListenerEvent(StrEnum):
    """What can happen to a listener's registration."""

    OFFER = "offer"
    """There is a message for it."""
    EMPTY = "empty"
    """Its worker finds nothing in its queue."""
    CLOSE = "close"
    """The client ends."""
    LEAVE = "leave"
    """Its worker is gone, perhaps cancelled."""
    REMOVE = "remove"
    """The application, or the policy of its queue, ends it."""


_IDLE, _WORKING, _WAITING = ListenerState.IDLE, ListenerState.WORKING, ListenerState.WAITING
_CLOSING, _CLOSED, _REMOVED = ListenerState.CLOSING, ListenerState.CLOSED, ListenerState.REMOVED
_OFFER, _EMPTY, _CLOSE = ListenerEvent.OFFER, ListenerEvent.EMPTY, ListenerEvent.CLOSE
_LEAVE, _REMOVE = ListenerEvent.LEAVE, ListenerEvent.REMOVE

TRANSITIONS: Mapping[ListenerState, Mapping[ListenerEvent, ListenerState]] = {
    _IDLE: {_OFFER: _WORKING, _CLOSE: _CLOSED, _REMOVE: _REMOVED},
    _WORKING: {_OFFER: _WORKING, _EMPTY: _WAITING, _CLOSE: _CLOSING, _LEAVE: _IDLE, _REMOVE: _REMOVED},
    _WAITING: {_OFFER: _WORKING, _CLOSE: _CLOSING, _LEAVE: _IDLE, _REMOVE: _REMOVED},
    _CLOSING: {_OFFER: _CLOSING, _EMPTY: _CLOSED, _CLOSE: _CLOSING, _LEAVE: _CLOSED, _REMOVE: _REMOVED},
    _CLOSED: {_OFFER: _CLOSING, _CLOSE: _CLOSED, _LEAVE: _CLOSED, _REMOVE: _REMOVED},
    _REMOVED: {_OFFER: _REMOVED, _CLOSE: _REMOVED, _LEAVE: _REMOVED, _REMOVE: _REMOVED},
}
"""From each state, what can happen and where it leads."""
