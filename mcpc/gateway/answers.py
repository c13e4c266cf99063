"""What a background tool of another server has returned, as the answer of a tool call here.

The value alone has come, as messages carry it; the tool's listing says what the answer of its call is like.
"""

from typing import Any, cast

from mcp_types import CallToolResult, ContentBlock, TextContent, Tool
from pydantic import TypeAdapter, ValidationError

from mcpc.wire.jsontext import encode_json

__all__ = ["answer_of"]

_blocks: TypeAdapter[list[ContentBlock]] = TypeAdapter(list[ContentBlock])


def answer_of(value: Any, tool: Tool | None) -> CallToolResult:
    """The answer for a value.

    Args:
        value: What the task has completed with; an answer already, for an ordinary tool.
        tool: The tool as it is listed.
    """
    if isinstance(value, CallToolResult):
        return value
    schema = None if tool is None else tool.output_schema
    if (blocks := _content(value)) is not None and schema is None:
        return CallToolResult(content=blocks)
    text = value if isinstance(value, str) else encode_json(value).decode()
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=_structured(value, schema))


def _content(value: Any) -> list[ContentBlock] | None:
    """The content blocks that a value is; None for any other."""
    if not isinstance(value, list) or not value:
        return None
    try:
        return _blocks.validate_python(value)
    except ValidationError:
        return None


def _structured(value: Any, schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """The value where the schema wants it: a result that is no object stands in one, as its only member."""
    properties: Any = (schema or {}).get("properties")
    if isinstance(properties, dict) and set(cast("dict[str, Any]", properties)) == {"result"}:
        return {"result": value}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
