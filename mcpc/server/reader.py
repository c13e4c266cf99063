"""Who reads a journal: how far they have come, and how whoever sends to them is woken.

Knows nothing of the journal, of what is read from it, or of where it is sent.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import anyio

from mcpc.machine import step

__all__ = ["TRANSITIONS", "Reader", "ReaderEvent", "ReaderState"]


class ReaderState(StrEnum):
    """Where a listen stream stands."""

    BEHIND = "behind"
    """There may be something to send: the announcement, at first."""
    CAUGHT_UP = "caught up"
    """All has been sent."""
    PAUSED = "paused"
    """It asked to be sent nothing until it has room; it is waited for all the same."""
    PAUSED_STALLED = "paused, stalled"
    """The same, and it has given no sign for too long."""
    STALLED = "stalled"
    """It has not read for too long: nobody waits for it, until it reads again."""
    FINISHING = "finishing"
    """Nothing more is posted; it ends once everything has been sent."""
    FINISHING_STALLED = "finishing, stalled"
    """The same, and it has not read for too long."""
    ENDED = "ended"
    """No more is sent."""


class ReaderEvent(StrEnum):
    """What can happen to a listen stream."""

    POST = "post"
    """There is something new in the journal."""
    SEND = "send"
    """It was sent something, and there is more."""
    DRAIN = "drain"
    """It has been sent all that there is."""
    PAUSE = "pause"
    """It has no room, and is at work on what it has."""
    RESUME = "resume"
    """It has room again."""
    STALL = "stall"
    """Whoever waits for it has waited long enough."""
    FINISH = "finish"
    """The server shuts down."""
    LEAVE = "leave"
    """It was cancelled or replaced, or its connection is gone."""


_B, _C, _S = ReaderState.BEHIND, ReaderState.CAUGHT_UP, ReaderState.STALLED
_P, _PS = ReaderState.PAUSED, ReaderState.PAUSED_STALLED
_F, _FS, _E = ReaderState.FINISHING, ReaderState.FINISHING_STALLED, ReaderState.ENDED
_POST, _SEND, _DRAIN = ReaderEvent.POST, ReaderEvent.SEND, ReaderEvent.DRAIN
_STALL, _FINISH, _LEAVE = ReaderEvent.STALL, ReaderEvent.FINISH, ReaderEvent.LEAVE
_PAUSE, _RESUME = ReaderEvent.PAUSE, ReaderEvent.RESUME

TRANSITIONS: Mapping[ReaderState, Mapping[ReaderEvent, ReaderState]] = {
    _B: {_POST: _B, _SEND: _B, _DRAIN: _C, _PAUSE: _P, _RESUME: _B, _STALL: _S, _FINISH: _F, _LEAVE: _E},
    _C: {_POST: _B, _SEND: _B, _DRAIN: _C, _PAUSE: _P, _RESUME: _C, _STALL: _C, _FINISH: _F, _LEAVE: _E},
    _P: {_POST: _P, _PAUSE: _P, _RESUME: _B, _STALL: _PS, _FINISH: _F, _LEAVE: _E},
    _PS: {_POST: _PS, _PAUSE: _P, _RESUME: _B, _STALL: _PS, _FINISH: _FS, _LEAVE: _E},
    _S: {_POST: _S, _SEND: _B, _DRAIN: _C, _PAUSE: _P, _RESUME: _S, _STALL: _S, _FINISH: _FS, _LEAVE: _E},
    _F: {_POST: _F, _SEND: _F, _DRAIN: _E, _PAUSE: _F, _RESUME: _F, _STALL: _FS, _FINISH: _F, _LEAVE: _E},
    _FS: {_POST: _FS, _SEND: _F, _DRAIN: _E, _PAUSE: _FS, _RESUME: _FS, _STALL: _FS, _FINISH: _FS, _LEAVE: _E},
    _E: {_POST: _E, _PAUSE: _E, _RESUME: _E, _STALL: _E, _FINISH: _E, _LEAVE: _E},
}
"""From each state, what can happen and where it leads. Who has ended or paused is sent nothing.

Who finishes is sent the rest even though it paused: there will be no later.
"""


class Reader:
    """One listener's place in a journal.

    Args:
        cursor: The number of the last message that it has.
    """

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        """The number of the last message sent."""
        self.ended: anyio.Event = anyio.Event()
        """Set when there will be no more: replaced, finished, or the connection closed."""
        self.progressed_at: float = anyio.current_time()
        """When it was last sent something while somebody waited for room, on the loop's clock."""
        self.awake: bool = True
        """Whether there may be something to take, as far as the taker knows. Of the state, at hand for each message."""
        self.paused: bool = False
        """Whether it is to be sent nothing until it resumes. Of the state, too."""
        self._state = ReaderState.BEHIND
        self._wake: Callable[[], None] | None = None
        self._ready: anyio.Event | None = None

    @property
    def state(self) -> ReaderState:
        """Where it stands."""
        return self._state

    @property
    def stalled(self) -> bool:
        """Whether it has not read for too long: nobody waits for it, until it reads again."""
        return self._state is _S or self._state is _FS or self._state is _PS

    def bind(self, wake: Callable[[], None]) -> None:
        """Call `wake` when there is something to take."""
        self._wake = wake

    def wake(self) -> None:
        """There is something to take. Told once: until all is taken, the taker asks again by itself."""
        self._move(_POST)

    async def ready(self) -> None:
        """Wait until there may be something to take, or there will be nothing more."""
        if not self.awake and self._state is not _E:
            self._ready = anyio.Event()
            await self._ready.wait()
            self._ready = None

    def sent(self, *, more: bool) -> None:
        """It was sent something. Where there is no more, and none will come, it ends.

        Raises:
            RuntimeError: it has ended.
        """
        self._move(_SEND if more else _DRAIN)

    def pause(self) -> None:
        """It has no room: it is sent nothing until `resume`. Said again it is a sign of life: it is waited for anew."""
        self.progressed_at = anyio.current_time()
        self._move(_PAUSE)

    def resume(self) -> None:
        """It has room again."""
        self.progressed_at = anyio.current_time()
        self._move(_RESUME)

    def stall(self) -> None:
        """It has not read for too long."""
        self._move(_STALL)

    def finish(self) -> None:
        """End once everything in the journal has been sent."""
        self._move(_FINISH)

    def end(self) -> None:
        """No more is sent."""
        self._move(_LEAVE)

    def _move(self, event: ReaderEvent) -> None:
        was_awake = self.awake
        try:
            state = TRANSITIONS[self._state][event]  # `step`, without a call: it runs twice for a message
        except KeyError:
            state = step(TRANSITIONS, self._state, event)  # which raises
        self._state = state
        self.paused = state is _P or state is _PS
        self.awake = state is not _C and state is not _E and not self.paused
        if state is _E:
            self.ended.set()
            if self._ready is not None:
                self._ready.set()
        elif not self.awake or was_awake:
            return
        elif self._wake is not None:
            self._wake()
        elif self._ready is not None:
            self._ready.set()
