"""Why a request about a task was refused (`error.data.reason`), so that the client raises the error the server did.

Where a limit is the reason, its name and value stand beside it (`limit`, `value`); where a prompt takes no answer any
more, `closed`. A refused call of a tool has the
same in its answer's `_meta`.
"""

from typing import Any

from mcpc.errors import (
    InputRefused,
    KeyRefused,
    LimitReached,
    MCPCError,
    PromptError,
    ServerStopping,
    TaskEnded,
    TooManyTasks,
    UnknownTask,
)
from mcpc.wire.jsontext import as_object
from mcpc.wire.names import REFUSAL_META

__all__ = [
    "PROMPT",
    "UNKNOWN_TASK",
    "error_of",
    "reason_data",
    "reason_of",
    "reason_to",
    "refusal_in",
    "refusal_meta",
]

PROMPT = "prompt"
UNKNOWN_TASK = "unknown_task"

_REASONS: dict[str, type[MCPCError]] = {
    "task_ended": TaskEnded,
    "input_refused": InputRefused,
    "key_refused": KeyRefused,
    PROMPT: PromptError,
    UNKNOWN_TASK: UnknownTask,
    "too_many_tasks": TooManyTasks,
    "limit": LimitReached,
    "server_stopping": ServerStopping,
}


def reason_data(reason: str) -> dict[str, Any]:
    """The `data` of an error that gives `reason`."""
    return {"reason": reason}


def reason_to(error: Exception) -> dict[str, Any] | None:
    """The `data` of the JSON-RPC error that stands for `error`; None where no reason names it."""
    for reason, kind in _REASONS.items():
        if isinstance(error, kind):
            data = reason_data(reason)
            if isinstance(error, LimitReached) and error.limit is not None:
                data |= {"limit": error.limit, "value": error.value}
            if isinstance(error, PromptError) and error.closed:
                data |= {"closed": True}
            return data
    return None


def reason_of(data: Any) -> str | None:
    """The reason in the `data` of an error."""
    reason: Any = as_object(data).get("reason")
    return reason if isinstance(reason, str) else None


def error_of(message: str, data: Any) -> MCPCError | None:
    """The error of ours that the reason in `data` stands for."""
    kind = _REASONS.get(reason_of(data) or "")
    if kind is None:
        return None
    members = as_object(data)
    if issubclass(kind, PromptError):
        return kind(message, closed=members.get("closed") is True)
    if not issubclass(kind, LimitReached):
        return kind(message)
    limit, value = members.get("limit"), members.get("value")
    return kind(
        message,
        limit=limit if isinstance(limit, str) else None,
        value=value if isinstance(value, int | float) else None,
    )


def refusal_meta(error: Exception) -> dict[str, Any] | None:
    """The `_meta` of a tool's answer that says why no task was begun; None where no reason names it."""
    data = reason_to(error)
    return None if data is None else {REFUSAL_META: data}


def refusal_in(meta: Any) -> dict[str, Any]:
    """What the `_meta` of a tool's answer says about why no task was begun; empty where it says nothing."""
    return as_object(as_object(meta).get(REFUSAL_META))
