"""The messages of the protocol as values: what an application sees.

Knows nothing of JSON-RPC (that is `wire`) and nothing of delivery.
"""

import uuid
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

from pydantic import BaseModel, Field

from mcpc.errors import MessageError

__all__ = [
    "LOG_EVENT",
    "PROTOCOL",
    "TASK_EVENTS",
    "TERMINAL_EVENTS",
    "VERSION",
    "ClientRequest",
    "EventType",
    "MCPCInformation",
    "MCPCMessage",
    "MCPCToolParameters",
    "MessageType",
    "Prompt",
    "TaskInfo",
    "TaskStatus",
    "check_message",
    "prompt_of",
    "request_of",
]

PROTOCOL = "mcpc"
VERSION = "1.0.0"
"""The version of the wire that this code speaks, as `mcpc_version`."""

MessageType = Literal["task", "server_event"]
EventType = Literal["created", "update", "complete", "failed"]
TaskStatus = Literal["running", "waiting", "stopping", "complete", "failed"]
"""How a task stands, as its server says: `waiting` for an answer, `stopping` until its worker has ended."""

LOG_EVENT = "log"
"""The server event by which a worker's log entry comes: `{"task_id", "tool_name", "level", "data", "logger"?}`."""
TASK_EVENTS = frozenset(("created", "update", "complete", "failed"))
TERMINAL_EVENTS = frozenset(("complete", "failed"))


class MCPCMessage(BaseModel):
    """One callback: an update of a task, or a server event.

    Construction is lenient, as it was in mcpc 0.2; `check_message` is the gate
    that everything sent or received passes. The members stand in the order in
    which our servers send them.
    """

    type: MessageType = "task"
    event: str
    session_id: str | None = None
    task_id: str | None = None
    tool_name: str | None = None
    protocol: str = PROTOCOL
    result: Any = None

    @property
    def terminal(self) -> bool:
        """Whether this ends its task."""
        return self.type == "task" and self.event in TERMINAL_EVENTS


class MCPCInformation(BaseModel):
    """What one side says of itself in the handshake."""

    mcpc_enabled: bool = True
    mcpc_version: str = VERSION
    mcpc_provider: str
    mcpc_direct_updates: bool = True
    mcpc_max_message_size: int | None = Field(default=None, ge=1)
    """Bytes of the largest message that this side takes; None where it does not say."""


class MCPCToolParameters(BaseModel):
    """The session and task of one tool call, as mcpc 0.2.6 put them into `arguments`."""

    session_id: str = "default"
    task_id: str = Field(default_factory=lambda: str(uuid.uuid4()))


class TaskInfo(TypedDict):
    """What a server tells of a task (`mcpc/task`). Servers of the tasks extension have members of their own beside."""

    taskId: str
    toolName: str
    sessionId: str
    status: TaskStatus
    createdAt: str
    """The time, as RFC 3339 has it."""
    lastUpdatedAt: str
    lastMessage: NotRequired[dict[str, Any]]
    """The last message that was sent of it, a `MCPCMessage` as JSON."""
    lastMessageSize: NotRequired[int]
    """Its bytes, where it is left out as it is over what the client takes."""


class Prompt(BaseModel):
    """A question that a running task asks its client (`task.ask`)."""

    id: str
    message: str
    choices: list[Any] | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    task_id: str | None = None
    session_id: str | None = None
    tool_name: str | None = None


class ClientRequest(Prompt):
    """What a running task asks of the client's program itself, its model say: a request of the standard."""

    request: dict[str, Any]


def check_message(message: MCPCMessage) -> MCPCMessage:
    """Return `message` if it may travel.

    Raises:
        MessageError: a member that its type needs is missing, or the event is not one of a task's four.
    """
    if message.type == "task":
        if message.event not in TASK_EVENTS:
            raise MessageError(
                f"task messages must use one of: created, update, complete, failed; got {message.event!r}"
            )
        if not (message.session_id and message.task_id and message.tool_name):
            raise MessageError("tool_name, session_id, and task_id are required for task messages")
    elif not message.event:
        raise MessageError("event is required for server event messages")
    elif not message.session_id:
        raise MessageError("session_id is required for server event messages")
    return message


def prompt_of(message: MCPCMessage) -> Prompt | None:
    """The prompt that `message` carries, or None where it is an ordinary message, or asks no user."""
    result: Any = message.result
    # Cheapest first: this is asked of every callback.
    if message.event != "update" or type(result) is not dict or "prompt" not in result:
        return None
    found = _asked_in(message, Prompt)
    return None if found is None or "request" in result["prompt"] else found


def request_of(message: MCPCMessage) -> ClientRequest | None:
    """The request to the client's program that `message` carries; None where it carries none."""
    return _asked_in(message, ClientRequest)


P = TypeVar("P", bound=Prompt)


def _asked_in(message: MCPCMessage, kind: type[P]) -> P | None:
    result: Any = message.result
    if message.event != "update" or type(result) is not dict or "prompt" not in result or message.type != "task":
        return None
    found: Any = result["prompt"]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):  # pyright: ignore[reportUnknownMemberType]
        return None
    about = {"task_id": message.task_id, "session_id": message.session_id, "tool_name": message.tool_name}
    try:
        return kind.model_validate({**found, **about})
    except ValueError:
        return None
