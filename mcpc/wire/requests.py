"""What travels in our own requests (`mcpc/listen`, `mcpc/send`, `mcpc/stop`, `mcpc/task`), and a task's state in ours.

The server reads the requests by models of its own, with the names that stand here.
"""

from typing import Any

from pydantic_core import from_json

from mcpc.wire.names import HEADS_FORM

__all__ = [
    "INPUT_KEY",
    "LAST_MESSAGE",
    "LAST_MESSAGE_SIZE",
    "LISTEN_ID",
    "MAX_MESSAGE_SIZE",
    "PROMPT_ID",
    "SESSION_ID",
    "TASK_ID",
    "TOOL_NAME",
    "about_listening",
    "about_task",
    "input_params",
    "is_listen_to",
    "last_message_of",
    "listen_params",
    "listening_params",
    "state_params",
    "task_description",
]

TASK_ID = "taskId"
TOOL_NAME = "toolName"
SESSION_ID = "sessionId"
PROMPT_ID = "promptId"
INPUT_KEY = "key"
LAST_MESSAGE = "lastMessage"
LAST_MESSAGE_SIZE = "lastMessageSize"
MAX_MESSAGE_SIZE = "maxMessageSize"
LISTEN_ID = "listenId"

ROUND_LAST_MESSAGE = 2048
"""Bytes that the rest of an answer with a task's state may take, its questions aside."""

# --- listening --------------------------------------------------------------------------------------------------


def listen_params(
    channel: str, *, after: int, epoch: str | None, max_message_size: int | None, listen_id: str
) -> dict[str, Any]:
    """The params of `mcpc/listen`.

    Args:
        channel: The channel's key.
        after: The last number that is here already.
        epoch: Of the log that it is a number of; None where none was heard of.
        max_message_size: Bytes of the largest message that is taken, where the server is to know.
        listen_id: What this listening is called when it is to pause.
    """
    params: dict[str, Any] = {"channel": channel, "after": after, "forms": [HEADS_FORM], LISTEN_ID: listen_id}
    if max_message_size is not None:
        params[MAX_MESSAGE_SIZE] = max_message_size
    if epoch is not None:
        params["epoch"] = epoch
    return params


def about_listening(channel: str, listen_id: str) -> dict[str, Any]:
    """The params of `mcpc/pause` and `mcpc/resume`."""
    return {"channel": channel, LISTEN_ID: listen_id}


def is_listen_to(params: dict[str, Any] | None, channel: str | None) -> bool:
    """Whether a `mcpc/listen` is for that channel."""
    return (params or {}).get("channel") == channel


def listening_params(epoch: str, *, oldest: int, head: int) -> dict[str, Any]:
    """The params of `notifications/mcpc/listening`, bar the tasks that stand in it after a gap."""
    return {"epoch": epoch, "oldest": oldest, "head": head}


# --- one task ---------------------------------------------------------------------------------------------------


def about_task(channel: str, task_id: str) -> dict[str, Any]:
    """The params of `mcpc/stop`, and what those of others begin with."""
    return {"channel": channel, TASK_ID: task_id}


def state_params(channel: str, task_id: str, max_message_size: int | None) -> dict[str, Any]:
    """The params of `mcpc/task`; `max_message_size` is that of `listen_params`."""
    about = about_task(channel, task_id)
    return about if max_message_size is None else {**about, MAX_MESSAGE_SIZE: max_message_size}


def input_params(
    channel: str, task_id: str, value: Any, prompt_id: str | None, key: str | None = None
) -> dict[str, Any]:
    """The params of `mcpc/send`: an input, or the answer to a prompt; with a key it may be sent again."""
    named = {PROMPT_ID: prompt_id, INPUT_KEY: key}
    return {
        **about_task(channel, task_id),
        "input": value,
        **{name: given for name, given in named.items() if given is not None},
    }


def last_message_of(data: bytes, largest: int | None) -> dict[str, Any]:
    """What stands in a task's state of its last message: the message, or its size where the whole would be too large.

    Args:
        data: The message as JSON.
        largest: Bytes of the largest message that its reader takes, the rest of the answer included.
    """
    if largest is not None and len(data) + ROUND_LAST_MESSAGE > largest:
        return {LAST_MESSAGE_SIZE: len(data)}
    return {LAST_MESSAGE: from_json(data)}


def task_description(
    *, task_id: str, tool_name: str, session_id: str, status: str, created_at: str, updated_at: str
) -> dict[str, Any]:
    """A task's state as `mcpc/task` gives it, bar its last message."""
    return {
        TASK_ID: task_id,
        TOOL_NAME: tool_name,
        SESSION_ID: session_id,
        "status": status,
        "createdAt": created_at,
        "lastUpdatedAt": updated_at,
    }
