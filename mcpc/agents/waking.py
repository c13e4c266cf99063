"""What wakes a model, and what waits until something does. Knows nothing of clients and of time."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mcpc.messages import MCPCMessage, prompt_of

__all__ = ["Wakes", "WakeRule"]

WakeRule = Callable[[MCPCMessage], bool]
"""Says of a message whether it is worth a turn of the model's."""


@dataclass(frozen=True)
class Wakes:
    """Which kinds of message wake the model. An instance is a `WakeRule`.

    By default a task's end, a question and any server event do, and an update does not: it is told with the next news.
    """

    ends: bool = True
    """A task that completed, failed or was lost."""
    questions: bool = True
    """A task that asks (`task.ask`)."""
    events: bool | Collection[str] = True
    """Server events: all, none, or those of these names."""
    updates: bool = False
    """Updates of running tasks."""

    def __call__(self, message: MCPCMessage) -> bool:
        if message.type == "server_event":
            return self.events if isinstance(self.events, bool) else message.event in self.events
        if message.terminal:
            return self.ends
        if prompt_of(message) is not None:
            return self.questions
        return self.updates
