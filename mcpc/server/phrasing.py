"""The messages of one task, encoded: what all of them begin with is made once.

Knows nothing of when they are sent, or where to.
"""

from dataclasses import dataclass
from typing import Any

from mcpc.errors import MessageError
from mcpc.server.outcome import unsendable
from mcpc.tasks import TaskState
from mcpc.wire.callbacks import message_prefix, message_with_result

__all__ = ["Ending", "Phrasing"]


@dataclass(frozen=True, slots=True)
class Ending:
    """A terminal message."""

    event: str
    result: Any
    data: bytes
    error: dict[str, Any] | None = None


class Phrasing:
    """How one task says things.

    Args:
        state: The task.
        max_message_size: Bytes that a message may have.
    """

    __slots__ = ("_max_message_size", "_prefixes", "_state")

    def __init__(self, state: TaskState, max_message_size: int) -> None:
        self._state = state
        self._max_message_size = max_message_size
        self._prefixes: dict[str, bytes] = {}

    def encode(self, event: str, result: Any) -> bytes:
        """A message, encoded.

        Raises:
            MessageError: the result is not a JSON value, or too large.
        """
        prefix = self._prefixes.get(event)
        if prefix is None:
            state = self._state
            prefix = self._prefixes[event] = message_prefix(
                event, session_id=state.session_id, task_id=state.task_id, tool_name=state.tool_name
            )
        data = message_with_result(prefix, result)
        if len(data) > self._max_message_size:
            raise MessageError(f"a message of {len(data)} bytes is over the limit of {self._max_message_size}")
        return data

    def ending(self, event: str, result: Any, error: dict[str, Any] | None = None) -> Ending:
        """A terminal message. A value that is not JSON makes it a failure."""
        try:
            return Ending(event, result, self.encode(event, result), error)
        except MessageError as exc:
            return Ending("failed", *unsendable(result, str(exc), lambda failure: self.encode("failed", failure)))
