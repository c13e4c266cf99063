"""Which tasks are open and which questions wait for a model. Follows messages; knows nothing of news and of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from mcpc.messages import MCPCMessage, Prompt, prompt_of
from mcpc.wire.requests import TASK_ID
from mcpc.wire.results import failure

__all__ = ["Board", "OpenTask"]


@dataclass(slots=True)
class OpenTask:
    """A task that has not ended, as far as was heard."""

    task_id: str
    tool_name: str
    session_id: str
    status: str = "running"


class Board:
    """The open tasks and questions."""

    def __init__(self) -> None:
        self.open: dict[str, OpenTask] = {}
        """The tasks that have not ended, by id, in the order in which they began."""
        self.questions: dict[str, Prompt] = {}
        """The questions that wait for the model, by id."""

    def enter(self, task_id: str, tool_name: str, session_id: str) -> OpenTask:
        """A task that runs; known ones stay as they are."""
        return self.open.setdefault(task_id, OpenTask(task_id, tool_name, session_id))

    def follow(self, message: MCPCMessage, *, asks_model: bool) -> None:
        """A message of a task came.

        Args:
            message: The message.
            asks_model: Whether a prompt in it is for the model to answer.
        """
        task_id = message.task_id or ""
        if message.terminal:
            self.open.pop(task_id, None)
            self.questions = {name: each for name, each in self.questions.items() if each.task_id != task_id}
            return
        task = self.enter(task_id, message.tool_name or "", message.session_id or "")
        prompt = prompt_of(message)
        if prompt is not None:
            task.status = "waiting"
            if asks_model:
                self.questions[prompt.id] = prompt
        elif not any(each.task_id == task_id for each in self.questions.values()):
            task.status = "running"

    def answered(self, prompt: Prompt) -> None:
        """A question was answered, or turned out to be closed."""
        self.questions.pop(prompt.id, None)
        task = self.open.get(prompt.task_id or "")
        if task is not None and not any(each.task_id == prompt.task_id for each in self.questions.values()):
            task.status = "running"

    def missed(self, event: MCPCMessage) -> Iterator[MCPCMessage]:
        """The ends that nobody will tell, after a `gap` or a `lost` of the client: as messages, and followed."""
        if event.event == "lost":
            yield from self._lose("nobody knows how it went: the connection was lost", set())
        elif event.event == "gap" and (states := _states(event.result)) is not None:
            running = {str(each.get(TASK_ID)) for each in states if each.get("status") not in ("complete", "failed")}
            yield from self._lose("its end was missed", running)

    def _lose(self, why: str, running: set[str]) -> Iterator[MCPCMessage]:
        for task in [task for task in self.open.values() if task.task_id not in running]:
            message = MCPCMessage(
                event="failed",
                session_id=task.session_id,
                task_id=task.task_id,
                tool_name=task.tool_name,
                result=failure("lost", why),
            )
            self.follow(message, asks_model=False)
            yield message


def _states(result: Any) -> list[dict[str, Any]] | None:
    """The states of tasks in a gap; None where it has none."""
    states: Any = cast("dict[str, Any]", result).get("tasks") if isinstance(result, dict) else None
    if not isinstance(states, list):
        return None
    return [cast("dict[str, Any]", each) for each in cast("list[Any]", states) if isinstance(each, dict)]
