"""Callbacks taken out of an event stream as its bytes come, before the SDK parses them.

The SDK validates, copies and logs every event: nine microseconds a callback, four
times what all the rest costs. Only events spelled as our own servers spell them are
taken; every other byte passes as it came. Knows the framing of server-sent events
(HTML standard, 9.2.6) and nothing of what is in them but how a callback begins.
"""

from collections.abc import AsyncIterator, Callable

import httpx2

from mcpc.wire.callbacks import NOTIFICATION_HEAD

__all__ = ["EVENT_END", "EVENT_START", "EventTap"]

EVENT_START = b"event: message\r\ndata: "
EVENT_END = b"\r\n\r\n"
"""How an event begins and ends, from the SDK's servers and ours."""

_CALLBACK = EVENT_START + NOTIFICATION_HEAD


class EventTap(httpx2.AsyncByteStream):
    """The body of an event stream, without the events that `tap` takes.

    Args:
        body: The body as it comes.
        tap: Shown the data of each event that begins as a callback does; True takes it out.
        limit: Bytes of data of the largest event that is held back and taken; a larger one passes.
    """

    def __init__(self, body: httpx2.AsyncByteStream, tap: Callable[[bytes], bool], limit: int) -> None:
        self._body = body
        self._tap = tap
        self._room = len(EVENT_START) + limit
        self._held = bytearray()
        """What has come of an event that may be a callback."""
        self._passing = False
        """The event that has begun is none."""
        self._last = b""
        """The last bytes of an event that passes: its end may be cut in two."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            if passed := self.filter(chunk):
                yield passed
        if self._held:
            yield bytes(self._held)

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()

    def filter(self, chunk: bytes) -> bytes:
        """What passes of `chunk`, and of what was held back before it."""
        passed: list[bytes] = []
        while chunk:
            chunk = self._pass_on(chunk, passed) if self._passing else self._hold(chunk, passed)
        return b"".join(passed)

    def _pass_on(self, data: bytes, passed: list[bytes]) -> bytes:
        """Let an event go by; returns what follows it."""
        seam = self._last + data
        end = seam.find(EVENT_END)
        if end < 0:
            passed.append(data)
            self._last = seam[1 - len(EVENT_END) :]
            return b""
        rest = seam[end + len(EVENT_END) :]
        passed.append(data[: len(data) - len(rest)])
        self._passing, self._last = False, b""
        return rest

    def _hold(self, data: bytes, passed: list[bytes]) -> bytes:
        """Hold an event back for as long as it may be a callback; returns what is to be looked at again."""
        held = self._held
        searched = max(0, len(held) + 1 - len(EVENT_END))
        held += data
        end = held.find(EVENT_END, searched)
        size = end if end >= 0 else len(held) + 1 - len(EVENT_END)  # without what may be its end
        if size > self._room or not held.startswith(_CALLBACK[: len(held)]):
            self._passing, rest = True, bytes(held)
        elif end < 0:
            return b""
        else:
            if not self._tap(bytes(held[len(EVENT_START) : end])):
                passed.append(bytes(held[: end + len(EVENT_END)]))
            rest = bytes(held[end + len(EVENT_END) :])
        held.clear()
        return rest
