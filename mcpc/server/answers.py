"""Values as they leave the server: a worker's result as a tool's answer, a time as text."""

from datetime import UTC, datetime
from typing import Any, cast

from mcp_types import CallToolResult, TextContent
from pydantic_core import from_json

from mcpc.tasks import Status, TaskState
from mcpc.wire.jsontext import encode_json

__all__ = ["call_result", "error_result", "timestamp", "tool_result"]


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tool_result(value: Any) -> CallToolResult:
    """A worker's value as the answer of a tool: its text, and the value itself where it is an object."""
    if isinstance(value, CallToolResult):
        return value
    text = value if isinstance(value, str) else encode_json(value).decode()
    decoded: Any = from_json(encode_json(value))
    structured = cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else None
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)


def error_result(text: str) -> CallToolResult:
    """A tool error."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def call_result(task: TaskState) -> CallToolResult:
    """What an ordinary call answers, once its task has ended."""
    if task.is_tool_result:
        return CallToolResult.model_validate(task.result)
    if task.status is Status.COMPLETE:
        return tool_result(task.result)
    failure: Any = task.result
    if isinstance(failure, dict) and "error" in failure:
        details = cast("dict[str, Any]", failure)
        return error_result(f"{details['error']}: {details.get('message')}")
    return error_result(failure if isinstance(failure, str) else encode_json(failure).decode())
