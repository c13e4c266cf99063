"""Tasks as a store keeps them and as the server knows them: from one to the other, and back."""

import json
from collections.abc import Hashable
from typing import Any, cast

from pydantic_core import from_json, to_json

from mcpc.errors import StoreRefused
from mcpc.server.phrasing import Phrasing
from mcpc.stored import StoredTask
from mcpc.tasks import Status, TaskState
from mcpc.wire.results import failure

__all__ = [
    "INTERRUPTED",
    "STATE_ONLY",
    "encode_state",
    "interrupted_message",
    "principal_of",
    "principal_text",
    "state_of",
]

INTERRUPTED = failure("interrupted", "the process that ran the task is gone, and it may not run again")
"""What the last message of an interrupted task carries."""
STATE_ONLY = "task:"
"""How the owner of a task begins that is followed by its state alone, and has no log."""
MAX_MESSAGE = 1 << 30


def encode_state(state: TaskState) -> bytes:
    """A task's state, as the store keeps it."""
    return to_json(state.to_plain())


def interrupted_message(state: TaskState) -> bytes:
    """The message that ends a task whose process died."""
    return Phrasing(state, MAX_MESSAGE).encode("failed", INTERRUPTED)


def state_of(stored: StoredTask) -> TaskState:
    """A task's state, from the store."""
    state = TaskState.from_plain(from_json(stored.state))
    if stored.ended:
        state.kept_for = (stored.expires_at or stored.updated_at) - stored.updated_at
        state.updated_at = stored.updated_at
        state.prompts.clear()
    if stored.was_interrupted:
        state.status = Status.FAILED
        state.ending = interrupted_message(state)
    return state


def principal_text(principal: Hashable | None) -> str | None:
    """A principal, as the store keeps it.

    Raises:
        StoreRefused: it is neither a text nor a tuple of texts.
    """
    if principal is None:
        return None
    parts: Any = list(principal) if isinstance(principal, tuple) else principal  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    try:
        text = json.dumps(parts)
    except (TypeError, ValueError):
        text = "null"
    if principal_of(text) != principal:
        raise StoreRefused(
            f"a server with a store takes principals that are texts, or tuples of them, not {principal!r}"
        )
    return text


def principal_of(text: str | None) -> Hashable | None:
    """The principal of a text that `principal_text` made."""
    decoded: Any = None if text is None else json.loads(text)
    return tuple(cast("list[Any]", decoded)) if isinstance(decoded, list) else decoded
