"""Messages on a server's stdout among what else its program prints there.

A message is a line of its own. A print without a newline moves it behind other
text, a library that prints JSON nicely spreads it over many lines, and whoever
waits for it would wait for ever. Both are put right here, where nothing else than
the message can be meant. It knows lines, and nothing of pipes or processes.
"""

import json
import re
from collections.abc import Generator
from itertools import islice

from mcpc.errors import FrameError
from mcpc.wire.envelope import BEGINNING, ENVELOPE_NAMES
from mcpc.wire.rpc import decode_frame, too_large

__all__ = ["Printed"]

MAX_TRIES = 16
"""Places in a line at which a message is looked for."""

_MESSAGE = re.compile(rb'\{\s*+"(?:%b)"' % "|".join(ENVELOPE_NAMES).encode())
_OPENING = re.compile(rb'\{(?=\s*+(?:"|\Z))')
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_JSON = re.compile(rb"[\s{}\[\]:,0-9+\-.eEtrufalsn]*+")
"""What a part of JSON is made of, its texts taken out."""


class Printed:
    """Lines in, frames and lines that are none out, in order.

    Args:
        limit: Bytes of the largest message that is put together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[bytes] = []
        """The lines of a message that has begun, and not ended."""
        self._size = 0
        self._depth = 0

    def read(self, line: bytes) -> list[bytes]:
        """What can be handed on now that `line` has come.

        Raises:
            FrameTooLarge: the message that has begun is over the limit; the rest of it is taken for other lines.
        """
        if line[-1:] == b"}" and _MESSAGE.match(line):
            return [*self._let_go(), line]
        if not self._held:
            return list(self._split(line))
        depth = _depth(line)
        self._hold(line, depth or 0)
        if depth is not None and self._depth > 0:
            return []
        return list(self._split(b"\n".join(self._let_go())))

    def _hold(self, line: bytes, depth: int) -> None:
        self._size += len(line) + bool(self._held)
        self._held.append(line)
        self._depth += depth
        if self._size > self._limit:
            raise too_large(self._limit, b"\n".join(self._let_go())[:BEGINNING])

    def _let_go(self) -> list[bytes]:
        held, self._held = self._held, []
        self._size = self._depth = 0
        return held

    def _split(self, text: bytes) -> Generator[bytes]:
        """The messages in a text, and what is before, between and after them; what only begins there is held."""
        done = 0
        for start, end in _messages(text):
            if text[done:start].strip():
                yield text[done:start]
            yield text[start:end]
            done = end
        begun = _begun(text, done)
        if text[done:begun].strip():
            yield text[done:begun]
        if begun < len(text):
            self._hold(text[begun:], _depth(text[begun:]) or 0)


def _messages(text: bytes) -> Generator[tuple[int, int]]:
    """Where sound messages begin and end in a text."""
    position = 0
    for _ in range(MAX_TRIES):
        opening = _OPENING.search(text, position)
        if opening is None:
            return
        position = opening.end()
        end = _end_of_message(text, opening.start())
        if end is not None:
            yield opening.start(), end
            position = end


def _end_of_message(text: bytes, start: int) -> int | None:
    """Where the message ends that begins at `start`; None where none does."""
    try:
        # Of one character for each byte, so that places in the text are places in the bytes.
        _, end = json.JSONDecoder().raw_decode(text.decode("latin-1"), start)
        decode_frame(text[start:end])
    except (FrameError, ValueError, RecursionError):
        return None
    return end


def _begun(text: bytes, position: int) -> int:
    """Where a message begins that may go on in the next lines; the text's end where none does."""
    for opening in islice(_OPENING.finditer(text, position), MAX_TRIES):
        if (_depth(text[opening.start() :]) or 0) > 0:
            return opening.start()
    return len(text)


def _depth(line: bytes) -> int | None:
    """How many more objects and lists are open behind a part of JSON than before it; None for another text."""
    rest = _TEXT.sub(b"", line)
    if _JSON.fullmatch(rest) is None:
        return None
    return sum(map(rest.count, (b"{", b"["))) - sum(map(rest.count, (b"}", b"]")))
