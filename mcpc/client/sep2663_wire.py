"""The tasks extension (SEP-2663) as a client writes and reads it: requests, states, questions and answers.

No waiting and no delivery here. Specification: modelcontextprotocol/ext-tasks, specification/draft/tasks.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Request, RequestParams, Result
from pydantic import ConfigDict

from mcpc.errors import MessageError, PromptError, UnknownTask

__all__ = [
    "TASKS_EXTENSION",
    "CreateTaskResult",
    "TaskState",
    "cancel_task",
    "get_task",
    "prompt_body",
    "response_to",
    "update_task",
]

TASKS_EXTENSION = "io.modelcontextprotocol/tasks"
DETAILS_META = "mcpc/task"
"""Where servers of ours say what SEP-2663 has no place for; see `mcpc.server.sep2663_state`."""

STATUSES = frozenset(("working", "input_required", "completed", "failed", "cancelled"))
TERMINAL = frozenset(("completed", "failed", "cancelled"))
DEFAULT_INTERVAL = 1.0
"""Seconds between two looks, where the server suggests nothing."""
MIN_INTERVAL = 0.01
"""Seconds between two looks at the least, whatever the server suggests."""


class CreateTaskResult(Result):
    """The answer of a call that became a task."""

    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"]
    task_id: str
    status: str
    status_message: str | None = None
    created_at: str | None = None
    last_updated_at: str | None = None
    ttl_ms: float | None = None
    poll_interval_ms: float | None = None


@dataclass(frozen=True)
class TaskState:
    """A task as its server described it at one moment."""

    task_id: str
    status: str
    message: str | None = None
    updated_at: datetime | None = None
    interval: float = DEFAULT_INTERVAL
    """Seconds between two looks, as the server suggests."""
    requests: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """What the server wants to know, by key."""
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    error: dict[str, Any] = field(default_factory=dict[str, Any])
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    """What a server of ours adds: `toolName`, `sessionId`, and the last `update`."""
    members: dict[str, Any] = field(default_factory=dict[str, Any])
    """All of it, as it came."""

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> "TaskState":
        """A state from the members of a `DetailedTask` or a `CreateTaskResult`.

        Raises:
            MessageError: it is not one.
        """
        task_id, status, message = members.get("taskId"), members.get("status"), members.get("statusMessage")
        if not isinstance(task_id, str) or status not in STATUSES:
            raise MessageError("the server's answer is not the state of a task")
        requests = {key: _object(value) for key, value in _object(members.get("inputRequests")).items()}
        return cls(
            task_id=task_id,
            status=status,
            message=message if isinstance(message, str) else None,
            updated_at=_time(members.get("lastUpdatedAt")),
            interval=_interval(members.get("pollIntervalMs")),
            requests=requests if status == "input_required" else {},
            result=_object(members.get("result")),
            error=_object(members.get("error")),
            details=_object(_object(members.get("_meta")).get(DETAILS_META)),
            members={name: value for name, value in members.items() if name not in ("_meta", "resultType")},
        )

    @property
    def terminal(self) -> bool:
        """Whether the task has ended."""
        return self.status in TERMINAL

    def is_older_than(self, other: "TaskState") -> bool:
        """Whether it was overtaken on its way by `other`."""
        mine, theirs = self.updated_at, other.updated_at
        return mine is not None and theirs is not None and mine < theirs


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else None


def _interval(milliseconds: Any) -> float:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float) or milliseconds <= 0:
        return DEFAULT_INTERVAL
    return max(MIN_INTERVAL, milliseconds / 1000)


# --- requests ---------------------------------------------------------------------------------------------------


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _TaskRequest(Request[_Params, str]):
    name_param = "taskId"  # over HTTP it travels as `Mcp-Name` too


class _Answer(Result):
    model_config = ConfigDict(extra="allow")


async def _ask(session: ClientSession, method: str, params: dict[str, Any]) -> dict[str, Any]:
    request = _TaskRequest(method=method, params=_Params.model_validate(params))
    try:
        answer = await session.send_request(request, _Answer)
    except MCPError as exc:
        data: Any = exc.error.data
        if exc.code == INVALID_PARAMS and _object(data).get("reason", "unknown_task") == "unknown_task":
            raise UnknownTask(f"the server does not know this task: {exc.message}") from exc
        if exc.code == INVALID_PARAMS:
            raise PromptError(exc.message) from exc
        raise
    return {**(answer.__pydantic_extra__ or {}), "_meta": answer.meta or {}}


async def get_task(session: ClientSession, task_id: str) -> TaskState:
    """The task's state.

    Raises:
        UnknownTask: the server does not know it, or does not let us see it.
        MessageError: the answer is not a task's state.
        MCPError: any other error.
    """
    return TaskState.read(await _ask(session, "tasks/get", {"taskId": task_id}))


async def update_task(session: ClientSession, task_id: str, responses: dict[str, Any]) -> None:
    """Answer some of the task's questions.

    Raises:
        PromptError: a server of ours did not take an answer.
        UnknownTask, MCPError: see `get_task`.
    """
    await _ask(session, "tasks/update", {"taskId": task_id, "inputResponses": responses})


async def cancel_task(session: ClientSession, task_id: str) -> None:
    """Ask for the task to be stopped.

    Raises:
        UnknownTask, MCPError: see `get_task`.
    """
    await _ask(session, "tasks/cancel", {"taskId": task_id})


# --- questions --------------------------------------------------------------------------------------------------


def _fields(request: dict[str, Any]) -> dict[str, Any]:
    """The fields of the form that a request shows."""
    schema = _object(_object(request.get("params")).get("requestedSchema"))
    return _object(schema.get("properties"))


def prompt_body(key: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """An elicitation as one of our prompts; None for other requests (sampling, roots).

    A form with the one field `answer` stands for a plain question, as our own servers write it.
    """
    if request.get("method") != "elicitation/create":
        return None
    params = _object(request.get("params"))
    body: dict[str, Any] = {"id": key, "message": str(params.get("message", ""))}
    if params.get("mode") == "url":
        body["message"] += f"\n{params.get('url')}"
        return body
    fields = _fields(request)
    if set(fields) != {"answer"}:
        return {**body, "schema": _object(params.get("requestedSchema"))}
    field_schema = {name: value for name, value in _object(fields["answer"]).items() if name != "title"}
    if isinstance(field_schema.get("enum"), list):
        body["choices"] = field_schema["enum"]
    elif field_schema != {"type": "string"}:
        body["schema"] = field_schema
    return body


def response_to(request: dict[str, Any], answer: Any) -> dict[str, Any]:
    """The response that accepts an elicitation with an answer.

    Raises:
        PromptError: the form has several fields, and the answer is not an object.
    """
    if _object(request.get("params")).get("mode") == "url":
        return {"action": "accept"}
    fields = _fields(request)
    if set(fields) == {"answer"} or (len(fields) == 1 and not isinstance(answer, dict)):
        name = next(iter(fields))
        choices: Any = _object(fields[name]).get("enum")
        if isinstance(choices, list) and answer not in choices and str(answer) in choices:
            answer = str(answer)
        return {"action": "accept", "content": {name: answer}}
    if not isinstance(answer, dict):
        raise PromptError(f"the answer must be an object with {', '.join(fields) or 'no members'}")
    return {"action": "accept", "content": cast("dict[str, Any]", answer)}
