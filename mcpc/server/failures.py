"""What a worker raised, as the client is told: type and text, never a traceback. Keeps no exception.

Takes whatever can leave a worker: any `BaseException`, groups of them, and those that cannot even say what they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError

from mcpc.errors import TaskStopped
from mcpc.server.outcome import ToolError
from mcpc.wire.results import failure, mend_numbers

__all__ = ["ABANDONED", "STOPPED", "Failure", "ToldFailure", "failure_of", "holds_cancellation"]

STOPPED = failure("stopped", "the task was stopped")
"""What the last message of a stopped task carries."""
ABANDONED: dict[str, Any] = {
    "error": "stopped",
    "message": "the task was stopped, as its client is gone",
    "abandoned": True,
}
"""What the last message of a task carries that was stopped because nobody was there for it any more."""
MAX_TEXT = 16 * 1024
"""Characters of an error's text at the most."""
MAX_CAUSES = 100
"""Errors of a group that are told at the most."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a task failed."""

    result: dict[str, Any]
    """What its last message carries."""
    error: dict[str, Any] | None = None
    """The JSON-RPC error that was raised, if it was one."""


class ToldFailure(Exception):
    """A task failed elsewhere, and this one with it: in the same words.

    Args:
        result: What the last message of the other carries.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(f"{result.get('error')}: {result.get('message')}")
        self.result = result


def failure_of(raised: BaseException) -> Failure:
    """How a task fails whose worker raised that.

    A group fails as the one error that it holds, or with all of them in its text; a stop in it makes it a stop.
    """
    causes = list(_causes(raised))
    if any(isinstance(cause, TaskStopped) for cause in causes):
        return Failure(STOPPED)
    if len(causes) == 1:
        (cause,) = causes
        if isinstance(cause, ToldFailure):
            return Failure(cause.result)
        told_of = failure(type(cause).__name__, _text(cause))
        if isinstance(cause, ToolError) and cause.result is not None:
            told_of["result"] = mend_numbers(cause.result)[0]
        return Failure(told_of, _rpc_error(cause))
    told = "; ".join(f"{type(cause).__name__}: {_text(cause)}" for cause in causes[:MAX_CAUSES])
    return Failure(failure(type(raised).__name__, told[:MAX_TEXT]))


def holds_cancellation(raised: BaseException) -> bool:
    """Whether it is the event loop's cancellation, or a group that holds one."""
    cancelled = anyio.get_cancelled_exc_class()
    return any(isinstance(leaf, cancelled) for leaf in _leaves(raised))


def _causes(raised: BaseException) -> Iterator[BaseException]:
    """The errors themselves; of a group that was also cancelled, those that are no cancellation."""
    leaves = list(_leaves(raised))
    cancelled = anyio.get_cancelled_exc_class()
    causes = [leaf for leaf in leaves if not isinstance(leaf, cancelled)]
    return iter(causes or leaves[:1])


def _leaves(raised: BaseException) -> Iterator[BaseException]:
    """What a group holds, however deep it is nested; any other error itself."""
    pending = [raised]
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending.extend(reversed(error.exceptions))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        else:
            yield error


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        return "(an error that cannot be printed)"
    # A lone surrogate has no form in JSON.
    return text[:MAX_TEXT].encode(errors="replace").decode()


def _rpc_error(error: BaseException) -> dict[str, Any] | None:
    if not isinstance(error, MCPError):
        return None
    try:
        return error.error.model_dump(mode="json", exclude_none=True)
    except Exception:
        return {"code": error.error.code, "message": _text(error)}
