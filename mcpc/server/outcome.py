"""What a worker returned: as the value that its task completes with, and as the answer of an ordinary call.

The server has made the answer; what stands here is how the two belong together. Knows no task.
"""

import contextlib
import marshal
from collections.abc import Callable
from typing import Any, cast

from mcp_types import CallToolResult, ContentBlock

from mcpc.errors import MessageError
from mcpc.wire.jsontext import as_object, has_infinity
from mcpc.wire.results import as_texts, failure, mend_numbers, result_text, result_value
from mcpc.wire.standard import IS_ERROR, STRUCTURED_CONTENT

__all__ = [
    "ToolError",
    "check_answer",
    "concluded",
    "is_refused_for_numbers",
    "message_value",
    "unsendable",
    "with_structure",
]

MAX_PLACES = 10
"""Places that are named where a result cannot be sent."""

_ON_THE_WIRE: Any = {"by_alias": True, "mode": "json", "exclude_none": True}
_HELPERS = ("to_image_content", "to_audio_content", "to_resource_content")
"""What makes a content block of `Image`, `Audio` and `File`, of the SDK and of FastMCP."""
_DATA = (str, int, float, bool, dict, type(None))
"""What most lists are of: it is no content, and is not looked at."""


class ToolError(Exception):
    """The tool's answer is an error, though its worker raised none.

    Args:
        message: What is wrong.
        result: What the worker returned, where it is not the error itself.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


def check_answer(answer: dict[str, Any], value: Any) -> None:
    """See that an answer is no error.

    Args:
        answer: What the server made of the worker's value, in wire form.
        value: The worker's value.

    Raises:
        ToolError: the worker returned an error, or its value does not fit what the tool declares to return.
    """
    if not answer.get(IS_ERROR):
        return
    if _is_answer(value):
        said = result_value(answer)
        raise ToolError(said if isinstance(said, str) else str(said))
    raise ToolError(f"the result does not fit what the tool says it returns: {result_text(answer)}", value)


def is_refused_for_numbers(answer: dict[str, Any], value: Any) -> bool:
    """Whether the server made an error of a value because of numbers that JSON lacks (FastMCP does, from 4.2 on)."""
    return bool(answer.get(IS_ERROR)) and not _is_answer(value) and bool(mend_numbers(value)[1])


def message_value(answer: dict[str, Any], value: Any) -> Any:
    """The value that the task completes with.

    Args:
        answer: What the server made of the worker's value, in wire form.
        value: The worker's value.
    """
    if _is_answer(value) or _is_shown(value, answer):
        # As a client would read it, the blocks' members in the SDK's order.
        return result_value(CallToolResult.model_validate(answer).model_dump(**_ON_THE_WIRE))
    if _is_plain(value):
        return value
    if STRUCTURED_CONTENT in answer:
        return _unwrapped(as_object(answer[STRUCTURED_CONTENT]), value)
    return _readable(value)


def with_structure(answer: dict[str, Any], value: Any) -> dict[str, Any]:
    """The answer, with the value beside its text where that is an object: a tool need not declare it for that."""
    if STRUCTURED_CONTENT in answer or _is_answer(value) or _is_shown(value, answer):
        return answer
    if isinstance(value, str | list | tuple):
        return answer
    decoded = _readable(value)
    is_object = isinstance(decoded, dict) and decoded is not value and not has_infinity(decoded)
    return {**answer, STRUCTURED_CONTENT: decoded} if is_object else answer


def concluded(answer: dict[str, Any], value: Any, keep: Callable[[dict[str, Any]], None]) -> Any:
    """What a task completes with whose worker returned.

    Args:
        answer: What the server made of the worker's value, in wire form.
        value: The worker's value.
        keep: Takes what an ordinary call answers.

    Raises:
        ToolError: the answer is an error.
    """
    if is_refused_for_numbers(answer, value):
        return value  # the end of its task says where they stand, and keeps the rest
    try:
        check_answer(answer, value)
    except ToolError as exc:
        if exc.result is None:
            keep(answer)
        raise
    keep(with_structure(answer, value))
    return message_value(answer, value)


def unsendable(result: Any, why: str, encode: Callable[[Any], bytes]) -> tuple[dict[str, Any], bytes]:
    """What a task fails with whose result cannot be sent as it is; and the same encoded.

    Numbers that JSON lacks do not throw away the rest: it is sent beside the error, with them as texts.
    """
    failed = failure("MessageError", f"the result cannot be sent: {why}")
    mended, places = mend_numbers(result)
    if places:
        named = ", ".join(places[:MAX_PLACES]) + (", …" if len(places) > MAX_PLACES else "")
        failed["message"] += f" ({named})"
        whole = {**failed, "result": mended}
        with contextlib.suppress(MessageError):  # where it is too large
            return whole, encode(whole)
    return failed, encode(failed)


def _is_answer(value: Any) -> bool:
    """Whether a worker's value is an answer already: the SDK's, or FastMCP's `ToolResult`."""
    return isinstance(value, CallToolResult) or hasattr(value, "to_mcp_result")


def _is_plain(value: Any) -> bool:
    """Whether it is made of the types of JSON, and of what Python has beside them: no objects, which have forms of
    their own in what the server makes of them. A look by `marshal` costs less than the JSON."""
    try:
        marshal.dumps(value, 2)
    except ValueError:
        return False
    return True


def _readable(value: Any) -> Any:
    """The value as it reads in JSON; as it is, where it has no such form: its task's end says why."""
    try:
        return as_texts(value)
    except (ValueError, RecursionError):
        return value


def _unwrapped(structured: dict[str, Any], value: Any) -> Any:
    """The value in a structured answer. What is no object there is wrapped in one, as its `result`."""
    if set(structured) != {"result"}:
        return structured
    members = as_object(_readable(value))
    is_itself = "result" in members and members["result"] == structured["result"]
    return structured if is_itself else structured["result"]


def _is_shown(value: Any, answer: dict[str, Any]) -> bool:
    """Whether the value is content, or a list with some. `MCPServer` lays lists in lists flat; FastMCP does not."""
    if not isinstance(value, list | tuple):
        return _is_content(value)
    items = cast("list[Any]", value)
    if any(map(_is_content, items)):
        return True
    blocks = cast("list[Any]", answer.get("content") or [])
    return any(as_object(block).get("type") != "text" for block in blocks) and _holds_content(items)


def _holds_content(items: list[Any]) -> bool:
    lists = [cast("list[Any]", item) for item in items if isinstance(item, list | tuple)]
    return any(map(_is_content, items)) or any(map(_holds_content, lists))


def _is_content(value: Any) -> bool:
    if isinstance(value, _DATA):
        return False
    return isinstance(value, ContentBlock) or any(hasattr(value, name) for name in _HELPERS)
