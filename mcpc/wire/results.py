"""An ordinary tool result, in wire form, as the value that it stands for; and a value that JSON has no words for."""

import json
import math
from typing import Any, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from mcpc.wire.jsontext import as_object
from mcpc.wire.standard import STRUCTURED_CONTENT

__all__ = ["failure", "mend_numbers", "result_text", "result_value"]


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

    A value that cannot be JSON for other reasons comes back as None.
    """
    try:
        decoded = from_json(to_json(value, inf_nan_mode="constants"))
    except (PydanticSerializationError, ValueError, RecursionError):
        return None, []
    places: list[str] = []
    return _mended(decoded, "result", places), places


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
