"""The words of the tasks extension (SEP-2663), and the state of a task as it travels, written and read.

Specification: modelcontextprotocol/ext-tasks, specification/draft/tasks.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, cast

from mcp_types import Result
from pydantic import ConfigDict

from mcpc.errors import MessageError
from mcpc.wire.jsontext import as_object

__all__ = [
    "ACKNOWLEDGED_METHOD",
    "CANCEL_METHOD",
    "DETAILS_META",
    "GET_METHOD",
    "REQUIRED_CAPABILITIES",
    "SUBSCRIBE_METHOD",
    "TASKS_EXTENSION",
    "TASKS_NOTIFICATION",
    "TASK_RESULT",
    "UPDATE_METHOD",
    "CreateTaskResult",
    "TaskState",
    "acknowledged_ids",
    "requires_tasks",
    "wanted_ids",
]

TASKS_EXTENSION = "io.modelcontextprotocol/tasks"

GET_METHOD = "tasks/get"
UPDATE_METHOD = "tasks/update"
CANCEL_METHOD = "tasks/cancel"
SUBSCRIBE_METHOD = "subscriptions/listen"
ACKNOWLEDGED_METHOD = "notifications/subscriptions/acknowledged"
TASKS_NOTIFICATION = "notifications/tasks"

DETAILS_META = "mcpc/task"
"""The `_meta` member that tells a client of ours what SEP-2663 has no place for: names, and the last update's value."""

TASK_RESULT: Literal["task"] = "task"
"""The `resultType` of a call that became a task."""

STATUSES = frozenset(("working", "input_required", "completed", "failed", "cancelled"))
TERMINAL = frozenset(("completed", "failed", "cancelled"))
DEFAULT_INTERVAL = 1.0
"""Seconds between two looks, where the server suggests nothing."""
MIN_INTERVAL = 0.01
"""Seconds between two looks at the least, whatever the server suggests."""

REQUIRED_CAPABILITIES: dict[str, Any] = {"requiredCapabilities": {"extensions": {TASKS_EXTENSION: {}}}}
"""The `data` of the error that refuses a caller who did not declare the extension."""


def requires_tasks(data: Any) -> bool:
    """Whether the `data` of an error says that the extension must be declared."""
    return TASKS_EXTENSION in as_object(as_object(as_object(data).get("requiredCapabilities")).get("extensions"))


# --- subscriptions ----------------------------------------------------------------------------------------------


def wanted_ids(params: Mapping[str, Any] | None) -> Any:
    """The `taskIds` that a `subscriptions/listen` asks for, as they came; None where it asks for none."""
    return as_object((params or {}).get("notifications")).get("taskIds")


def acknowledged_ids(params: Mapping[str, Any]) -> list[Any]:
    """The `taskIds` that an acknowledgement names: those that will be pushed."""
    ids: Any = as_object(params.get("notifications")).get("taskIds")
    return cast("list[Any]", ids) if isinstance(ids, list) else []


# --- the state of a task ----------------------------------------------------------------------------------------


class CreateTaskResult(Result):
    """The answer of a call that became a task."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

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
        requests = {key: as_object(value) for key, value in as_object(members.get("inputRequests")).items()}
        return cls(
            task_id=task_id,
            status=status,
            message=message if isinstance(message, str) else None,
            updated_at=_time(members.get("lastUpdatedAt")),
            interval=_interval(members.get("pollIntervalMs")),
            requests=requests if status == "input_required" else {},
            result=as_object(members.get("result")),
            error=as_object(members.get("error")),
            details=as_object(as_object(members.get("_meta")).get(DETAILS_META)),
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
