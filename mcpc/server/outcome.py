"""What a worker returned: as the value that its task completes with, and as the answer of an ordinary call.

The server has made the answer; what stands here is how the two belong together. Knows no task.
"""

import contextlib
from collections.abc import Callable
from typing import Any, cast

from mcp_types import CallToolResult, ContentBlock
from pydantic_core import from_json

from mcpc.errors import MessageError
from mcpc.wire.jsontext import encode_json
from mcpc.wire.results import failure, mend_numbers, result_text, result_value
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
    if _is_answer(value) or _has_content(value):
        # As a client would read it, the blocks' members in the SDK's order.
        return result_value(CallToolResult.model_validate(answer).model_dump(**_ON_THE_WIRE))
    if value is None or isinstance(value, dict | list | tuple | str | int | float):
        return cast("Any", value)
    return answer.get(STRUCTURED_CONTENT, value)


def with_structure(answer: dict[str, Any], value: Any) -> dict[str, Any]:
    """The answer, with the value beside its text where that is an object: a tool need not declare it for that."""
    if STRUCTURED_CONTENT in answer or _is_answer(value) or _has_content(value):
        return answer
    try:
        decoded = from_json(encode_json(value))
    except MessageError:
        return answer
    return {**answer, STRUCTURED_CONTENT: decoded} if isinstance(decoded, dict) else answer


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


def _has_content(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_content, cast("list[Any]", value)))
    return _is_content(value)


def _is_content(value: Any) -> bool:
    return isinstance(value, ContentBlock) or any(hasattr(value, name) for name in _HELPERS)
