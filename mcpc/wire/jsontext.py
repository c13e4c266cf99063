"""Values as JSON text (RFC 8259), and what no peer could read of them.

JSON is pydantic-core's: `to_json` here, `from_json` where frames come in.
"""

import json
import math
import re
from typing import Any, cast

from pydantic_core import CoreConfig, PydanticSerializationError, SchemaSerializer, core_schema, from_json

from mcpc.errors import MessageError

__all__ = ["as_object", "encode_json", "has_infinity"]

SURE_DEPTH = 150
"""As many brackets or fewer can be decoded however they nest (the decoder's limit is 200 levels)."""
FRAME_DEPTH = 8
"""Levels that a frame adds around a message's result."""
MAX_DIGITS = 4300
"""Digits of the longest number that the decoder takes (CPython's own limit)."""
_LONG_NUMBER = re.compile(rb"\d{4301}")
N, I = b"NI"  # noqa: E741 - what NaN and Infinity begin with


_to_json = SchemaSerializer(core_schema.any_schema(), CoreConfig(ser_json_inf_nan="constants")).to_json
"""`pydantic_core.to_json`, set up once: that is a tenth of what it takes for a small value."""


def encode_json(value: Any) -> bytes:
    """`value` as JSON.

    Raises:
        MessageError: it cannot be JSON: an unknown type, a lone surrogate, NaN or an infinity (RFC 8259).
    """
    try:
        data = _to_json(value)
        # One byte is found ten times faster than a word, and this runs for every message.
        if (N in data or I in data) and (b"NaN" in data or b"Infinity" in data) and _non_finite(data):
            raise MessageError("not a JSON value: NaN and infinities have no JSON form")
        if len(data) > 2 * SURE_DEPTH and _may_be_undecodable(data):
            from_json(b"[" * FRAME_DEPTH + data + b"]" * FRAME_DEPTH)  # what the peer's decoder will make of it
    except MessageError:
        raise
    except (PydanticSerializationError, ValueError, RecursionError) as exc:
        raise MessageError(f"not a JSON value that can travel: {exc}") from exc
    return data


def _may_be_undecodable(data: bytes) -> bool:
    """Whether `data` could be nested too deep, or hold a number too long, for the peer's decoder."""
    return data.count(b"[") + data.count(b"{") > SURE_DEPTH or (
        len(data) > MAX_DIGITS and _LONG_NUMBER.search(data) is not None
    )


def _non_finite(data: bytes) -> bool:
    """Whether NaN or an infinity stands in `data` as a number, not as part of a text."""
    found = False

    def constant(_: str) -> None:
        nonlocal found
        found = True

    json.loads(data, parse_constant=constant)
    return found


def has_infinity(value: Any) -> bool:
    """Whether a decoded value holds a float that was too large to be one (`1e999`)."""
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            stack.extend(cast("list[Any]", item))
        elif isinstance(item, float) and not math.isfinite(item):
            return True
    return False


def as_object(value: Any) -> dict[str, Any]:
    """A decoded value as an object; an empty one where it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
