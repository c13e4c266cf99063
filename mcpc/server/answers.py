"""Values as they leave the server: a worker's result as a tool's answer, a time as text."""

from datetime import UTC, datetime
from typing import Any, cast

from mcp_types import SERVER_INFO_META_KEY, CallToolResult, TextContent
from mcp_types.methods import serialize_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import from_json

from mcpc.errors import MessageError
from mcpc.tasks import Status, TaskState
from mcpc.wire.jsontext import encode_json
from mcpc.wire.message import META, meta_of
from mcpc.wire.standard import CALL_TOOL_METHOD, IS_ERROR, RESULT_TYPE

__all__ = ["error_result", "kept_answer", "made_result", "on_the_wire", "timestamp", "to_be_kept", "without_stamp"]


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_result(text: str, meta: dict[str, Any] | None = None) -> CallToolResult:
    """A tool error."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, _meta=meta)


def on_the_wire(result: CallToolResult, version: str, stamp: dict[str, Any] | None = None) -> dict[str, Any]:
    """A tool's answer as it goes over the wire.

    Args:
        result: The answer.
        version: Of the protocol.
        stamp: What the server says of itself in answers since 2026-07-28.
    """
    dumped = serialize_server_result(
        CALL_TOOL_METHOD, version, result.model_dump(by_alias=True, mode="json", exclude_none=True)
    )
    if version in MODERN_PROTOCOL_VERSIONS:
        dumped.setdefault(RESULT_TYPE, "complete")
        if stamp is not None:
            dumped[META] = {SERVER_INFO_META_KEY: stamp, **meta_of(dumped)}
    return dumped


def without_stamp(result: dict[str, Any]) -> dict[str, Any]:
    """The same without what the server says of itself: an answer within an answer says it no second time."""
    meta = {key: value for key, value in meta_of(result).items() if key != SERVER_INFO_META_KEY}
    bare = {key: value for key, value in result.items() if key != META}
    return {**bare, META: meta} if meta else bare


def to_be_kept(answer: dict[str, Any]) -> bytes | None:
    """An answer as a task keeps it: a quarter of what it takes decoded. None where it cannot travel."""
    try:
        return encode_json(answer)
    except MessageError:
        return None


def kept_answer(task: TaskState) -> dict[str, Any] | None:
    """The answer that the server made, where it fits how the task ended: one that was stopped gives no result."""
    answer: Any = None if task.answer is None else from_json(task.answer)
    if answer is None or bool(answer.get(IS_ERROR)) is (task.status is Status.COMPLETE):
        return None
    return answer


def made_result(task: TaskState) -> CallToolResult:
    """What an ordinary call answers whose task has ended without an answer of the server: it failed, say."""
    result: Any = task.result
    if task.status is not Status.COMPLETE:
        return _failure(result)
    text = result if isinstance(result, str) else encode_json(result).decode()
    decoded: Any = from_json(encode_json(result))
    structured = cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else None
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)


def _failure(failure: Any) -> CallToolResult:
    if not isinstance(failure, dict) or "error" not in failure:
        return error_result(failure if isinstance(failure, str) else encode_json(failure).decode())
    details = cast("dict[str, Any]", failure)
    answer = error_result(f"{details['error']}: {details.get('message')}")
    if "result" in details:
        # What the worker had, all the same: hours may stand in it.
        answer.content.append(TextContent(type="text", text=encode_json(details["result"]).decode()))
    return answer
