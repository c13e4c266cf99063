"""Values as JSON text (RFC 8259), and what no peer could read of them.

JSON is pydantic-core's: `to_json` here, `from_json` where frames come in. What it
cannot tell is looked for so that it costs less than the JSON itself, whatever the
value is like.
"""

import marshal
import re
from typing import Any, cast

from pydantic_core import (
    CoreConfig,
    PydanticSerializationError,
    SchemaSerializer,
    core_schema,
    from_json,
    to_json,
)

from mcpc.errors import MessageError

__all__ = [
    "BYTES_PER_CONTAINER",
    "MAX_CONTAINERS",
    "as_object",
    "encode_json",
    "has_infinity",
    "is_same_json",
    "is_too_dense",
    "json_size",
    "may_overflow",
]

SURE_DEPTH = 150
"""As many brackets or fewer can be decoded however they nest (the decoder's limit is 200 levels)."""
FRAME_DEPTH = 8
"""Levels that a frame adds around a message's result."""
MAX_DIGITS = 4300
"""Digits of the longest number that the decoder takes (CPython's own limit)."""
MAX_CONTAINERS = 250_000
"""Lists and objects that a JSON text may have, whatever its size."""
BYTES_PER_CONTAINER = 8
"""Beyond those, bytes of it for each: a table has 20 and more. To decode one takes longer than to decode its bytes."""
N, I = b"NI"  # noqa: E741 - what NaN and Infinity begin with

# --- encoding ---------------------------------------------------------------------------------------------------

_to_json = SchemaSerializer(core_schema.any_schema(), CoreConfig(ser_json_inf_nan="constants")).to_json
"""`pydantic_core.to_json`, set up once: that is a tenth of what it takes for a small value. Its callers say
`by_alias`, as that does unasked: a model has the same names here as in what the SDK makes of it.
"""


def encode_json(value: Any) -> bytes:
    """`value` as JSON.

    Raises:
        MessageError: it cannot be JSON: an unknown type, a lone surrogate, NaN or an infinity (RFC 8259).
    """
    try:
        data = _to_json(value, by_alias=True)
        # Most messages are short, and what might not be readable is not looked for any further in them.
        if (len(data) > 2 * SURE_DEPTH or N in data or I in data) and _is_doubtful(data):
            _check_density(data)
            _check_readable(data)
    except (PydanticSerializationError, ValueError, RecursionError) as exc:
        if isinstance(exc, MessageError):
            raise
        raise MessageError(f"not a JSON value that can travel: {exc}") from exc
    return data


def json_size(value: Any) -> int:
    """Bytes of a value as JSON text, where it did not come as one. What cannot be JSON is measured as it prints."""
    try:
        return len(_to_json(value, by_alias=True))
    except (PydanticSerializationError, ValueError, RecursionError):
        return len(repr(value))


def _is_doubtful(data: bytes) -> bool:
    """Whether `data` might not be readable: nested too deep, a number too long, or one that is none."""
    if len(data) > MAX_DIGITS:
        return True
    # One byte is found ten times faster than a word, and this runs for every message.
    if (N in data or I in data) and (b"NaN" in data or b"Infinity" in data):
        return True
    return len(data) > 2 * SURE_DEPTH and data.count(b"[") + data.count(b"{") > SURE_DEPTH


def _check_readable(data: bytes) -> None:
    """Read `data` as the peer's decoder will, inside of a frame."""
    framed = b"[" * FRAME_DEPTH + data + b"]" * FRAME_DEPTH
    try:
        from_json(framed, allow_inf_nan=False)
    except ValueError:
        from_json(framed)  # it is too deep, or a number is too long
        raise MessageError("not a JSON value: NaN and infinities have no JSON form") from None


def _check_density(data: bytes) -> None:
    if is_too_dense(data):
        most = f"{MAX_CONTAINERS} lists and objects, and than one for each {BYTES_PER_CONTAINER} bytes"
        raise MessageError(f"not a JSON value that can travel: it has more than {most}")


# --- decoding ---------------------------------------------------------------------------------------------------

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def is_too_dense(data: bytes | bytearray) -> bool:
    """Whether a JSON text has more lists and objects than may be: what is in strings does not count.

    Counting bytes takes 2 ms a MiB, a tenth of what decoding takes at the least.
    """
    most = max(MAX_CONTAINERS, len(data) // BYTES_PER_CONTAINER)
    if len(data) <= most or data.count(b"[") + data.count(b"{") <= most:
        return False
    bare = _STRING.sub(b"", data)
    return bare.count(b"[") + bare.count(b"{") > most


_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG = b"0" * 200


def may_overflow(data: bytes | bytearray) -> bool:
    """Whether a number in JSON text may be too large for a float: its exponent has three digits, or it has 200."""
    plain = data.translate(_DIGITS, b"+")
    return b"0e000" in plain or _LONG in plain


_ROUND = b"g\0\0\0\0\0\0"
_NOT_FINITE = tuple(_ROUND + last for last in (b"\xf0\x7f", b"\xf0\xff", b"\xf8\x7f", b"\xf8\xff"))
"""Infinities and NaN as marshal writes them. No text can hold these bytes: they are not UTF-8."""


def has_infinity(value: Any) -> bool:
    """Whether a decoded value holds a float that was too large to be one (`1e999`), or is none (`NaN`).

    A walk over a value of many small objects takes longer than decoding it did; marshal's takes a third of that.
    """
    try:
        data = marshal.dumps(value, 2)
    except ValueError:  # not all of it was decoded from JSON
        data = b"".join(_NOT_FINITE)
    if _ROUND not in data or not any(pattern in data for pattern in _NOT_FINITE):
        return False
    try:
        from_json(to_json(value, inf_nan_mode="constants"), allow_inf_nan=False)
    except ValueError:
        return True
    return False


def as_object(value: Any) -> dict[str, Any]:
    """A decoded value as an object; an empty one where it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def is_same_json(one: Any, other: Any) -> bool:
    """Whether two decoded values are the same in JSON, where `true` is not 1 (and 1 is 1.0)."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        rows = cast("list[Any]", one), cast("list[Any]", other)
        return len(rows[0]) == len(rows[1]) and all(map(is_same_json, *rows))
    if isinstance(one, dict) and isinstance(other, dict):
        first, second = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return first.keys() == second.keys() and all(is_same_json(first[name], second[name]) for name in first)
    return one == other
