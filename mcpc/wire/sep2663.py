"""The words of the tasks extension (SEP-2663), and the state of a task as it travels, written and read.

Specification: modelcontextprotocol/ext-tasks, specification/draft/tasks.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from mcp_types import CLIENT_CAPABILITIES_META_KEY

from mcpc.errors import MessageError
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import META, meta_of, with_meta
from mcpc.wire.requests import SESSION_ID, TASK_ID, TOOL_NAME
from mcpc.wire.standard import INPUT_REQUESTS, RESULT_TYPE

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
    "TaskState",
    "acknowledged_ids",
    "acknowledging",
    "requires_tasks",
    "subscription_to",
    "task_details",
    "task_members",
    "wanted_ids",
    "without_extension",
]

TASKS_EXTENSION = "io.modelcontextprotocol/tasks"

TASK_IDS = "taskIds"
UPDATE_DETAIL = "update"
VALUE_DETAIL = "value"

GET_METHOD = "tasks/get"
UPDATE_METHOD = "tasks/update"
CANCEL_METHOD = "tasks/cancel"
SUBSCRIBE_METHOD = "subscriptions/listen"
ACKNOWLEDGED_METHOD = "notifications/subscriptions/acknowledged"
TASKS_NOTIFICATION = "notifications/tasks"

DETAILS_META = "mcpc/task"
"""The `_meta` member that tells a client of ours what SEP-2663 has no place for: names, and the values of the
last update and of a result whose content does not give it back."""

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


def without_extension(params: dict[str, Any]) -> dict[str, Any]:
    """The params of a request without the extension among the capabilities. (The SDK shares one object of these.)"""
    meta = meta_of(params)
    capabilities = as_object(meta.get(CLIENT_CAPABILITIES_META_KEY))
    extensions = as_object(capabilities.get("extensions"))
    if TASKS_EXTENSION not in extensions:
        return params
    kept = {name: settings for name, settings in extensions.items() if name != TASKS_EXTENSION}
    return with_meta(params, CLIENT_CAPABILITIES_META_KEY, {**capabilities, "extensions": kept})


# --- subscriptions ----------------------------------------------------------------------------------------------


def wanted_ids(params: Mapping[str, Any] | None) -> Any:
    """The `taskIds` that a `subscriptions/listen` asks for, as they came; None where it asks for none."""
    return as_object((params or {}).get("notifications")).get(TASK_IDS)


def subscription_to(task_ids: list[str]) -> dict[str, Any]:
    """The params of a `subscriptions/listen` that asks for tasks."""
    return {"notifications": {TASK_IDS: task_ids}}


def acknowledging(params: Mapping[str, Any], task_ids: list[str]) -> dict[str, Any]:
    """The params of an acknowledgement, with the tasks that will be pushed too."""
    return {**params, "notifications": {**as_object(params.get("notifications")), TASK_IDS: task_ids}}


def acknowledged_ids(params: Mapping[str, Any]) -> list[Any]:
    """The `taskIds` that an acknowledgement names: those that will be pushed."""
    ids: Any = as_object(params.get("notifications")).get(TASK_IDS)
    return cast("list[Any]", ids) if isinstance(ids, list) else []


# --- the state of a task ----------------------------------------------------------------------------------------


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
        task_id, status, message = members.get(TASK_ID), members.get("status"), members.get("statusMessage")
        if not isinstance(task_id, str) or status not in STATUSES:
            raise MessageError("the server's answer is not the state of a task")
        requests = {key: as_object(value) for key, value in as_object(members.get(INPUT_REQUESTS)).items()}
        return cls(
            task_id=task_id,
            status=status,
            message=message if isinstance(message, str) else None,
            updated_at=_time(members.get("lastUpdatedAt")),
            interval=_interval(members.get("pollIntervalMs")),
            requests=requests if status == "input_required" else {},
            result=as_object(members.get("result")),
            error=as_object(members.get("error")),
            details=as_object(meta_of(members).get(DETAILS_META)),
            members={name: value for name, value in members.items() if name not in (META, RESULT_TYPE)},
        )

    @property
    def tool_name(self) -> str | None:
        """Its tool, where a server of ours says so."""
        return self.details.get(TOOL_NAME)

    @property
    def session_id(self) -> str | None:
        """The conversation that it belongs to, where a server of ours says so."""
        return self.details.get(SESSION_ID)

    @property
    def update(self) -> tuple[Any] | None:
        """What the last update carries, in a tuple, where a server of ours says so."""
        return (self.details[UPDATE_DETAIL],) if UPDATE_DETAIL in self.details else None

    @property
    def value(self) -> tuple[Any] | None:
        """What it completed with, in a tuple, where a server of ours says so: its content does not give it back."""
        return (self.details[VALUE_DETAIL],) if VALUE_DETAIL in self.details else None

    @property
    def terminal(self) -> bool:
        """Whether the task has ended."""
        return self.status in TERMINAL

    def is_older_than(self, other: "TaskState") -> bool:
        """Whether it was overtaken on its way by `other`."""
        mine, theirs = self.updated_at, other.updated_at
        return mine is not None and theirs is not None and mine < theirs


def task_members(
    *, task_id: str, status: str, created_at: str, updated_at: str, ttl: int | None, interval: int, text: str | None
) -> dict[str, Any]:
    """The members of every `Task`.

    Args:
        task_id: The task.
        status: One of the extension's.
        created_at: ISO 8601.
        updated_at: ISO 8601.
        ttl: Milliseconds for which it is kept, from its beginning; None while that is not known.
        interval: Milliseconds between two looks, as a suggestion.
        text: How it stands, in words.
    """
    members: dict[str, Any] = {
        TASK_ID: task_id,
        "status": status,
        "createdAt": created_at,
        "lastUpdatedAt": updated_at,
        "ttlMs": ttl,
        "pollIntervalMs": interval,
    }
    return members if text is None else {**members, "statusMessage": text}


def task_details(
    tool_name: str, session_id: str, update: tuple[Any] | None, value: tuple[Any] | None = None
) -> dict[str, Any]:
    """The `_meta` that tells a client of ours more."""
    details: dict[str, Any] = {TOOL_NAME: tool_name, SESSION_ID: session_id}
    if update is not None:
        details[UPDATE_DETAIL] = update[0]
    if value is not None:
        details[VALUE_DETAIL] = value[0]
    return {DETAILS_META: details}


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
