"""A task as the tasks extension shows it (SEP-2663): its state, its questions, its result.

Reads a `TaskState` and makes plain objects for the wire; sends nothing and
knows nothing of requests. `sep2663_extension` answers with them, `sep2663_push`
sends them.
"""

from typing import Any

from mcp_types.version import LATEST_MODERN_VERSION
from pydantic_core import from_json

from mcpc.server.answers import error_result, kept_answer, made_result, on_the_wire, timestamp, without_stamp
from mcpc.tasks import Status, TaskState
from mcpc.wire.jsontext import as_object, encode_json
from mcpc.wire.message import META
from mcpc.wire.prompts import input_request
from mcpc.wire.results import result_value
from mcpc.wire.sep2663 import TASK_RESULT, task_details, task_members
from mcpc.wire.standard import INPUT_REQUESTS, IS_ERROR, RESULT_TYPE

__all__ = [
    "POLL_INTERVAL",
    "created_state",
    "detailed_state",
]

POLL_INTERVAL = 1.0
"""Seconds between two looks, as we suggest them (`pollIntervalMs`). Who wants to know sooner subscribes."""
MAX_TEXT = 1000
"""Characters of `statusMessage`, where it is made of an update that says nothing in words."""


def created_state(task: TaskState) -> dict[str, Any]:
    """The `CreateTaskResult` of a task that has just been entered."""
    return {RESULT_TYPE: TASK_RESULT, **_base(task, "working", None)}


def detailed_state(task: TaskState, *, max_size: int, with_details: bool = False) -> dict[str, Any]:
    """The `DetailedTask` as it stands.

    Args:
        task: The task.
        max_size: Bytes that its result may have; a larger one is told as an error.
        with_details: Add `DETAILS_META`, for a client of ours.
    """
    status = _status(task)
    update = _update(task)
    state = _base(task, status, update)
    if status == "input_required":
        state[INPUT_REQUESTS] = {key: input_request(prompt) for key, prompt in task.prompts.items()}
    elif status == "completed":
        state["result"] = _result(task, max_size)
    elif status == "failed":
        state["error"] = task.error
    if with_details:
        value = _value(task, as_object(state.get("result")), max_size)
        state[META] = task_details(task.tool_name, task.session_id, None if task.ended else update, value)
    return state


def _status(task: TaskState) -> str:
    if task.status is Status.COMPLETE:
        return "completed"
    if task.status is Status.FAILED:
        # `failed` is for JSON-RPC errors only: any other failure is a result with `isError` (SEP-2663).
        if task.error is not None:
            return "failed"
        return "cancelled" if _was_stopped(task) else "completed"
    return "input_required" if task.status is Status.WAITING else "working"


def _was_stopped(task: TaskState) -> bool:
    return as_object(task.result).get("error") == "stopped"


def _base(task: TaskState, status: str, update: tuple[Any] | None) -> dict[str, Any]:
    """The members of every `Task`. `ttlMs` is null while it runs: we forget no task that runs."""
    ttl = None if task.kept_for is None else int((task.updated_at - task.created_at + task.kept_for) * 1000)
    return task_members(
        task_id=task.task_id,
        status=status,
        created_at=timestamp(task.created_at),
        updated_at=timestamp(task.updated_at),
        ttl=ttl,
        interval=int(POLL_INTERVAL * 1000),
        text=_status_message(task, status, update),
    )


def _status_message(task: TaskState, status: str, update: tuple[Any] | None) -> str | None:
    if status == "failed":
        return str((task.error or {}).get("message"))
    if status == "cancelled":
        return "The task was stopped."
    if task.status is Status.STOPPING:
        return "The task is being stopped."
    if status == "input_required":
        return next(iter(task.prompts.values())).message
    if update is not None:
        return _text_of(update[0])
    return f"{task.tool_name} has started." if status == "working" else None


def _update(task: TaskState) -> tuple[Any] | None:
    """What the newest update carries, in a tuple; None where there was none (`created` is no update)."""
    if task.last_update is None:
        return None
    message = from_json(task.last_update)
    return (message.get("result"),) if message.get("event") == "update" else None


def _text_of(update: Any) -> str:
    """An update in words: its `status` or `message`, or itself where it is a text, or as JSON."""
    members = as_object(update)
    text = members.get("status") or members.get("message") or update
    if isinstance(text, str):
        return text
    return encode_json(update)[: 4 * MAX_TEXT].decode(errors="ignore")[:MAX_TEXT]


def _result(task: TaskState, max_size: int) -> dict[str, Any]:
    """What the call would have answered, as it would have gone over the wire."""
    result = _made(task)
    size = len(encode_json(result))
    if size <= max_size:
        return result
    # An object travels twice, also as a text, so it may be too large where the message was not.
    return on_the_wire(error_result(f"a result of {size} bytes is over the limit of {max_size}"), LATEST_MODERN_VERSION)


def _value(task: TaskState, result: dict[str, Any], max_size: int) -> tuple[Any] | None:
    """What the task completed with, in a tuple, where its content does not give it back: a bare list, say."""
    if task.status is not Status.COMPLETE or result.get(IS_ERROR):
        return None
    value = from_json(encode_json(task.result))
    read = result_value(result)
    if type(read) is type(value) and read == value:
        return None
    return (value,) if len(encode_json(value)) + len(encode_json(result)) <= max_size else None


def _made(task: TaskState) -> dict[str, Any]:
    answer = kept_answer(task)
    return on_the_wire(made_result(task), LATEST_MODERN_VERSION) if answer is None else without_stamp(answer)
