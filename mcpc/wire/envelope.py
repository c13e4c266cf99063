"""The envelope of a frame, read apart from the one large value that it carries.

Whoever reads JSON as a whole cannot tell a member that stands twice from one that
stands once. Read apart it is plain: the envelope without its value is a few dozen
bytes, and the value is one JSON text, so nothing can hide behind it. That costs no
second look at what is large. The same few dozen bytes tell the id of a frame that
cannot be read, or is too large to be kept.

Knows how JSON is written, and nothing of what a message must have.
"""

import json
import re
from typing import Any, NamedTuple, cast

from pydantic_core import from_json

__all__ = ["BEGINNING", "END", "Cut", "has_doubled", "read_apart", "read_cut"]

ENVELOPE_NAMES = ("jsonrpc", "id", "method", "params", "result", "error")

BEGINNING = 1024
"""Bytes at the beginning of a frame that are looked at for the members before its large value."""
END = 512
"""Bytes at the end of a frame that are looked at for the members after it."""

_SPACE = rb"[ \t\r\n]*+"
_TEXT = rb'"[^"\\\x00-\x1f]*+"'
_SCALAR = rb"(?:%b|-?[0-9]{1,18}+(?![0-9.eE])|true|false|null)" % _TEXT
_MEMBER = _TEXT + _SPACE + b":" + _SPACE + _SCALAR + _SPACE
_HEAD = re.compile(b"%b{%b((?:%b,%b){0,12})%b%b:" % (_SPACE, _SPACE, _MEMBER, _SPACE, b"(%b)" % _TEXT, _SPACE))
_TAIL = re.compile(b"((?:,%b%b){0,12})}%b\\Z" % (_SPACE, _MEMBER, _SPACE))


class Cut(NamedTuple):
    """What is known of a frame whose value was not read."""

    members: dict[str, Any]
    """The members of the envelope before and after the value."""
    name: str
    """Under which name the value stands."""
    start: int
    """Where the value begins."""


def read_apart(frame: bytes | bytearray) -> dict[str, Any] | None:
    """A frame whose members stand once each; None where that cannot be said so easily, or it is no JSON."""
    head = _HEAD.match(frame)
    tail = None if head is None else _TAIL.search(frame, max(head.end(), len(frame) - END))
    if head is None or tail is None:
        return None
    try:
        # In brackets, so that it may be nested as deep as in its frame, and is seen to be one value.
        inside: list[Any] = from_json(b"[%b]" % frame[head.end() : tail.start()], allow_inf_nan=False)
        shell = frame[: head.end()] + b"0" + frame[tail.start() :]
        message: dict[str, Any] = from_json(shell, allow_inf_nan=False)
        name: str = from_json(head.group(2))
    except ValueError:
        return None
    if len(inside) != 1 or has_doubled(shell, unknown_too=True):
        return None
    message[name] = inside[0]
    return message


def has_doubled(frame: bytes | bytearray, *, unknown_too: bool = False) -> bool:
    """Whether a member of the envelope, or any at all, stands twice in a JSON object, in whatever spelling."""
    doubled = False

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        names = [name for name, _ in pairs if unknown_too or name in ENVELOPE_NAMES]
        # json.loads calls this innermost first: what counts is the last call, the envelope.
        doubled = len(names) != len(set(names))
        return {}

    json.loads(frame, object_pairs_hook=collect)
    return doubled


def read_cut(beginning: bytes | bytearray, end: bytes | bytearray = b"") -> Cut | None:
    """What the beginning and the end of a frame say of it; None where they are not those of an envelope.

    Members at the end count only where `jsonrpc` is among them: others may belong to the value.
    """
    head = _HEAD.match(beginning)
    if head is None:
        return None
    members = _members(head.group(1))
    tail = _TAIL.search(end)
    if members is None:
        return None
    after = _members(tail.group(1).lstrip(b", \t\r\n")) if tail is not None else None
    if after is not None and "jsonrpc" in after and not after.keys() & members.keys():
        members |= after
    try:
        name: str = from_json(head.group(2))
    except ValueError:
        return None
    return Cut(members, name, head.end())


def _members(text: bytes) -> dict[str, Any] | None:
    """Members as they stand in a frame, with a comma behind the last one or not."""
    shell = b"{%b}" % text.rstrip(b", \t\r\n")
    try:
        return None if has_doubled(shell) else cast("dict[str, Any]", from_json(shell))
    except ValueError:
        return None
