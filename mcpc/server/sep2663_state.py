"""A task as the tasks extension shows it (SEP-2663): its state, its questions, its result.

Reads a `RunningTask` and makes plain objects for the wire; sends nothing and
knows nothing of requests. `sep2663_extension` answers with them, `sep2663_push`
sends them.
"""

from typing import Any, cast

from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from mcp_types.methods import serialize_server_result
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic_core import from_json

from mcpc.server.answers import call_result, error_result, timestamp
from mcpc.server.outlet import OpenPrompt
from mcpc.server.running import RunningTask
from mcpc.tasks import Status
from mcpc.wire.jsontext import encode_json
from mcpc.wire.prompts import input_request
from mcpc.wire.sep2663 import DETAILS_META, TASK_RESULT

__all__ = [
    "POLL_INTERVAL",
    "created_state",
    "detailed_state",
    "open_prompts",
]

POLL_INTERVAL = 1.0
"""Seconds between two looks, as we suggest them (`pollIntervalMs`). Who wants to know sooner subscribes."""
MAX_TEXT = 1000
"""Characters of `statusMessage`, where it is made of an update that says nothing in words."""


def open_prompts(running: RunningTask) -> dict[str, OpenPrompt]:
    """The questions without an answer. (An answered one is open in `prompts` until its worker has run on.)"""
    return {key: prompt for key, prompt in running.prompts.items() if not prompt.answered.is_set()}


# --- the state --------------------------------------------------------------------------------------------------


def created_state(running: RunningTask) -> dict[str, Any]:
    """The `CreateTaskResult` of a task that has just been entered."""
    return {"resultType": TASK_RESULT, **_base(running, "working")}


def detailed_state(running: RunningTask, *, with_details: bool = False) -> dict[str, Any]:
    """The `DetailedTask` as it stands.

    Args:
        running: The task.
        with_details: Add `DETAILS_META`, for a client of ours.
    """
    prompts = open_prompts(running)
    status = _status(running, prompts)
    state = _base(running, status)
    if status == "input_required":
        state["inputRequests"] = {key: input_request(prompt) for key, prompt in prompts.items()}
    elif status == "completed":
        state["result"] = _result(running)
    elif status == "failed":
        state["error"] = cast("MCPError", running.error).error.model_dump(mode="json", exclude_none=True)
    if with_details:
        state["_meta"] = {DETAILS_META: _details(running)}
    return state


def _status(running: RunningTask, prompts: dict[str, OpenPrompt]) -> str:
    record = running.record
    if record.status is Status.COMPLETE:
        return "completed"
    if record.status is Status.FAILED:
        # `failed` is for JSON-RPC errors only: any other failure is a result with `isError` (SEP-2663).
        if isinstance(running.error, MCPError):
            return "failed"
        return "cancelled" if _was_stopped(running) else "completed"
    return "input_required" if record.status is Status.WAITING and prompts else "working"


def _was_stopped(running: RunningTask) -> bool:
    result = running.result
    return isinstance(result, dict) and cast("dict[str, Any]", result).get("error") == "stopped"


def _base(running: RunningTask, status: str) -> dict[str, Any]:
    """The members of every `Task`. `ttlMs` is null while it runs: we forget no task that runs."""
    record = running.record
    ttl = None if record.expires_at is None else int((record.expires_at - record.created_at) * 1000)
    state: dict[str, Any] = {
        "taskId": record.task_id,
        "status": status,
        "createdAt": timestamp(record.created_at),
        "lastUpdatedAt": timestamp(record.updated_at),
        "ttlMs": ttl,
        "pollIntervalMs": int(POLL_INTERVAL * 1000),
    }
    text = _status_message(running, status)
    if text is not None:
        state["statusMessage"] = text
    return state


def _status_message(running: RunningTask, status: str) -> str | None:
    if status == "failed":
        return str(running.error)
    if status == "cancelled":
        return "The task was stopped."
    if running.record.status is Status.STOPPING:
        return "The task is being stopped."
    if status == "input_required":
        return next(iter(open_prompts(running).values())).message
    if running.last_update is not None:
        return _text_of(running.last_update)
    return f"{running.record.tool_name} has started." if status == "working" else None


def _text_of(update: Any) -> str:
    """An update in words: its `status` or `message`, or itself where it is a text, or as JSON."""
    members = cast("dict[str, Any]", update) if isinstance(update, dict) else {}
    text = members.get("status") or members.get("message") or cast("Any", update)
    if isinstance(text, str):
        return text
    return encode_json(update)[: 4 * MAX_TEXT].decode(errors="ignore")[:MAX_TEXT]


def _result(running: RunningTask) -> dict[str, Any]:
    """What the call would have answered, as it would have gone over the wire. Made once, as it never changes."""
    details = running.record.details
    result: dict[str, Any] | None = details.get("call_result")
    if result is None:
        result = _on_the_wire(call_result(running))
        size, limit = len(encode_json(result)), running.limits.max_message_size
        if size > limit:
            # An object travels twice, also as a text, so it may be too large where the message was not.
            result = _on_the_wire(error_result(f"a result of {size} bytes is over the limit of {limit}"))
        details["call_result"] = result
    return result


def _on_the_wire(result: CallToolResult) -> dict[str, Any]:
    dumped = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return serialize_server_result("tools/call", LATEST_MODERN_VERSION, dumped)


def _details(running: RunningTask) -> dict[str, Any]:
    record = running.record
    details: dict[str, Any] = {"toolName": record.tool_name, "sessionId": record.session_id}
    if running.last_update is not None and record.last_message is not None:
        # From the encoded message: the worker may have changed its object since.
        message = from_json(record.last_message)
        if message.get("event") == "update":
            details["update"] = message.get("result")
    return details
