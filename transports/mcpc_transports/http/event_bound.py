"""A bound on the events of a stream that costs only the event that is over it: its request is answered with an error.

The HTTP library ends the whole stream there, and on the older HTTP+SSE that is the
connection, with every other call. Knows the framing of server-sent events (HTML
standard, 9.2.6) and how little of a message tells whose answer it is.
"""

import logging
import re
from collections.abc import AsyncIterator

import httpx2

from mcpc.logs import logger_of
from mcpc.wire.envelope import BEGINNING, END
from mcpc.wire.rpc import encode_rpc, failed_answer, too_large
from mcpc_transports.http.event_tap import EVENT_END, EVENT_START

__all__ = ["FIELDS", "BoundedEvents"]

logger: logging.Logger = logger_of(__name__)

FIELDS = 2048
"""Bytes of an event that may stand beside its data."""
HEAD = BEGINNING + 128
"""Bytes kept of the beginning of an event that is over the limit."""

_END = re.compile(rb"\n\n|\r\r|\n\r\n")
_ENDS = (b"\n\n", b"\r\r", EVENT_END)
_DATA = re.compile(rb"(?:\A|[\r\n])data: ?([^\r\n]*)")


class BoundedEvents(httpx2.AsyncByteStream):
    """The body of an event stream in which no event has more than so many bytes of data.

    Args:
        body: The body as it comes.
        limit: Bytes. In the place of a larger answer comes an error to its request; anything else that is larger is
            left out.
    """

    def __init__(self, body: httpx2.AsyncByteStream, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._held = bytearray()
        """What has come of an event; of one that is over the limit its end."""
        self._head = b""
        """The beginning of an event that is over the limit; empty while none is."""
        self._has_said = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            if passed := self.filter(chunk):
                yield passed
        if rest := self.rest():
            yield rest

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()

    def rest(self) -> bytes:
        """What passes when nothing more comes."""
        return b"" if self._head else bytes(self._held)

    def filter(self, chunk: bytes) -> bytes:
        """What passes, now that `chunk` has come."""
        if not self._held and len(chunk) <= self._limit and chunk.endswith(_ENDS):
            return chunk  # the usual case: whole events
        passed: list[bytes] = []
        while chunk:
            chunk = self._take(chunk, passed)
        return b"".join(passed)

    def _take(self, data: bytes, passed: list[bytes]) -> bytes:
        """Take data up to the end of an event; what follows that."""
        held = self._held
        searched = max(0, len(held) - 2)
        held += data
        end = _END.search(held, searched)
        if end is not None:
            passed.append(self._whole(bytes(held[: end.start()]), bytes(held[: end.end()])))
            rest = bytes(held[end.end() :])
            held.clear()
            self._head = b""
            return rest
        if self._head or len(held) > self._limit + FIELDS:
            self._head = self._head or bytes(held[:HEAD])
            del held[: -END - 2]
        return b""

    def _whole(self, text: bytes, event: bytes) -> bytes:
        """What passes of an event that has ended, or in its place.

        Args:
            text: The event without its end; of one that is over the limit already, its last bytes.
            event: The same with its end.
        """
        if not self._head and self._fits(text):
            return event
        data = _DATA.search(self._head or text[:HEAD])
        error = too_large(self._limit, data.group(1) if data else b"", text[-END:])
        if error.kind == "answer" and error.request_id is not None:
            return EVENT_START + encode_rpc(failed_answer(error)) + EVENT_END
        if not self._has_said:
            self._has_said = True
            logger.warning("left out an event of the server: %s (said once)", error)
        return b""

    def _fits(self, text: bytes) -> bool:
        if len(text) <= self._limit:
            return True
        if len(text) > self._limit + FIELDS:
            return False
        lines = [found.group(1) for found in _DATA.finditer(text)]
        return sum(map(len, lines)) + len(lines) - 1 <= self._limit
