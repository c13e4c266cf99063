"""An ordinary tool result, in wire form, as the value that it stands for; and a value that JSON has no words for."""

import json
import math
from typing import Any, cast

from pydantic_core import PydanticSerializationError, to_jsonable_python

from mcpc.wire.jsontext import as_object
from mcpc.wire.standard import STRUCTURED_CONTENT

__all__ = ["as_texts", "failure", "mend_numbers", "result_text", "result_value"]


def failure(error: str, text: str) -> dict[str, Any]:
    """The `result` of a `failed` message: the kind of error, and what it says."""
    return {"error": error, "message": text}


def _content(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [as_object(block) for block in cast("list[Any]", result.get("content") or [])]


def result_value(result: dict[str, Any]) -> Any:
    """What a `CallToolResult` stands for: its structured content, else its one text (as JSON, if it is that), else its
    blocks."""
    structured = result.get(STRUCTURED_CONTENT)
    if isinstance(structured, dict):
        members = cast("dict[str, Any]", structured)
        return members["result"] if set(members) == {"result"} else members
    content = _content(result)
    if len(content) != 1 or content[0].get("type") != "text":
        return content
    text = content[0].get("text")
    try:
        return json.loads(cast("str", text))
    except ValueError:
        return text


def result_text(result: dict[str, Any]) -> str:
    """The texts of a `CallToolResult`, line by line."""
    return "\n".join(str(block.get("text")) for block in _content(result) if block.get("type") == "text")


def mend_numbers(value: Any) -> tuple[Any, list[str]]:
    """`value` as JSON can hold it: each NaN and infinity as a text; and where they stood (`result.rows[3].mean`).

    What has no form in JSON at all is a text too. A value that cannot be JSON for other reasons comes back as None.
    """
    try:
        decoded = as_texts(value)
    except (PydanticSerializationError, ValueError, RecursionError):
        return None, []
    places: list[str] = []
    return _mended(decoded, "result", places), places


def as_texts(value: Any) -> Any:
    """`value` as it reads in JSON, what has no form there as a text: so the SDK and FastMCP write it. A number that
    JSON lacks stays one, in a model too, whose JSON would say `null`.

    Raises:
        PydanticSerializationError, ValueError, RecursionError: it cannot be JSON all the same.
    """
    return to_jsonable_python(value, inf_nan_mode="constants", fallback=_text)


def _text(unknown: Any) -> str:
    try:
        return str(unknown)
    except Exception:
        return f"(a {type(unknown).__name__} that cannot be printed)"


def _mended(value: Any, place: str, places: list[str]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        places.append(place)
        return str(value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name: _mended(member, f"{place}.{name}", places) for name, member in members.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [_mended(item, f"{place}[{number}]", places) for number, item in enumerate(items)]
    return value
