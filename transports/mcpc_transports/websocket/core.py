"""What differs between the versions of `websockets` whose protocol core is used here: 15, 16 and 17.

Agent frameworks pin the library below 16 or 17, so older ones are taken too. They
say less about a request that is not the usual one, and bound sizes otherwise. What
they say is made the same here; nobody else asks for a version.
"""

import re
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from mcpc_transports.websocket.partial import MAX_SKIPPED

__all__ = ["CONTROL_MAX", "checked_value", "frame_limit", "status_of"]

CONTROL_MAX = 125
"""Bytes of the largest control frame: RFC 6455, section 5.5."""

BOUNDS_FRAMES = int(version("websockets").partition(".")[0]) >= 16
"""Whether the core can bound the single frame, and leave the message alone."""

_VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
"""RFC 9110, section 5.5."""

_STATUSES = (
    ("unsupported HTTP method", HTTPStatus.METHOD_NOT_ALLOWED),
    ("unsupported protocol", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
    ("too many HTTP headers", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    ("line too long", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
)


def frame_limit(max_message_size: int) -> Any:
    """The `max_size` of a protocol whose channel bounds messages to `max_message_size` bytes.

    The protocol bounds the single frame, before it buffers any of it (those over the limit that are to be skipped do
    not reach it); the channel bounds what fragments add up to. Left to the protocol, the second bound would end the
    connection, and refuse a ping between the fragments of a long message, and the first would refuse control frames
    where messages are small. (`websockets` 15 has one bound for both.)
    """
    if BOUNDS_FRAMES:
        return None, max(max_message_size, CONTROL_MAX)
    return MAX_SKIPPED


def status_of(exc: BaseException) -> HTTPStatus:
    """The status to answer a request with that the core could not read."""
    reasons = [str(found) for found in (exc, exc.__cause__) if found is not None]
    for words, status in _STATUSES:
        if any(words in reason for reason in reasons):
            return status
    return HTTPStatus.BAD_REQUEST


def checked_value(value: str) -> str:
    """`value`, which can be sent as a header's. (Only `websockets` 17 looks at it by itself.)

    Raises:
        ValueError: it cannot.
    """
    if not _VALUE.fullmatch(value):
        raise ValueError("a header cannot hold this value")
    return value
