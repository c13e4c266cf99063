"""Frames to send: made from a seed, so that both sides know them, and each tells whether it arrived whole.

Every frame is a JSON object without line breaks, as a transport may refuse to carry
anything else. Long ones hold what careless framing trips over: characters of two to four
bytes, and those that some libraries take for the end of a line.
"""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any
from zlib import crc32

__all__ = ["Load", "make_frame", "read_index"]

AWKWARD = "é\u0085\u2028\u2029…😀\u00a0".encode() + rb"\n\"\\\u000a"
LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789"
OPENING, CLOSING = b'{"f":"', b'"}'
SHORTEST_CHECKED = 80
"""Bytes of the shortest frame that holds its number and a checksum."""


def make_frame(index: int, size: int) -> bytes:
    """Frame number `index`, of exactly `size` bytes: 2 or more, for no JSON object is shorter."""
    if size < len(OPENING + CLOSING):
        return b"{" + b" " * (size - 2) + b"}"
    room = size - len(OPENING + CLOSING)
    if size < SHORTEST_CHECKED:
        return OPENING + _letters(index, room) + CLOSING
    head = b"%d %d " % (index, size)
    body = AWKWARD + _letters(index, room - len(head) - 9 - len(AWKWARD))
    return OPENING + head + b"%08x " % crc32(body) + body + CLOSING


def _letters(index: int, count: int) -> bytes:
    start = index % len(LETTERS)
    return (LETTERS * (count // len(LETTERS) + 2))[start : start + count]


def read_index(frame: bytes) -> int | None:
    """The number of a frame of `SHORTEST_CHECKED` bytes or more; None where it is not as it was made."""
    try:
        index, size, checksum, body = frame[len(OPENING) : -len(CLOSING)].split(b" ", 3)
        whole = int(size) == len(frame) and int(checksum, 16) == crc32(body)
        return int(index) if whole else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Load:
    """A number of frames: the first of `low` bytes, the second of `high`, the others of any size between."""

    count: int
    low: int = 2
    high: int = 4096
    seed: int = 0

    def __iter__(self) -> Iterator[bytes]:
        numbers = random.Random(self.seed)
        for index in range(self.count):
            size = round(exp(numbers.uniform(log(self.low), log(self.high))))
            yield make_frame(index, (self.low, self.high, size)[min(index, 2)])

    def describe(self) -> dict[str, Any]:
        """What makes the same load at the other end."""
        return asdict(self)
