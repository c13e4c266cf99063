"""Why a request about a task was refused (`error.data.reason`), so that the client raises the error the server did."""

from typing import Any

from mcpc.errors import InputRefused, KeyRefused, PromptError, TaskEnded, TaskError, UnknownTask
from mcpc.wire.jsontext import as_object

__all__ = ["PROMPT", "UNKNOWN_TASK", "error_named", "reason_data", "reason_of", "reason_to"]

PROMPT = "prompt"
UNKNOWN_TASK = "unknown_task"

_REASONS: dict[str, type[TaskError]] = {
    "task_ended": TaskEnded,
    "input_refused": InputRefused,
    "key_refused": KeyRefused,
    PROMPT: PromptError,
    UNKNOWN_TASK: UnknownTask,
}


def reason_data(reason: str) -> dict[str, Any]:
    """The `data` of an error that gives `reason`."""
    return {"reason": reason}


def reason_to(error: TaskError) -> dict[str, Any] | None:
    """The `data` of the JSON-RPC error that stands for `error`; None where no reason names it."""
    for reason, kind in _REASONS.items():
        if isinstance(error, kind):
            return reason_data(reason)
    return None


def reason_of(data: Any) -> str | None:
    """The reason in the `data` of an error."""
    reason: Any = as_object(data).get("reason")
    return reason if isinstance(reason, str) else None


def error_named(data: Any) -> type[TaskError] | None:
    """The error of ours that the reason in `data` stands for."""
    reason = reason_of(data)
    return None if reason is None else _REASONS.get(reason)
