"""What clients ask of a workshop's tasks: to begin one, to find one, to say something to it.

Each may have to be waited for (`stored_desk` asks a store), so none is done by the handlers themselves. What is asked
of journals is `reception`. Knows nothing of requests or the wire.
"""

from collections.abc import Hashable, Iterable
from typing import Any, Protocol

from mcpc.errors import UnknownTask
from mcpc.server.execution import Execution, Observer
from mcpc.server.journal import Journal
from mcpc.server.start_key import StartKey
from mcpc.server.terms import Terms
from mcpc.server.workshop import Workshop
from mcpc.tasks import TaskState

__all__ = ["Desk", "Observed"]

MAX_KEYS = 10_000
"""Keys of starts that are remembered; beyond it those whose tasks are forgotten go."""


class Observed(Protocol):
    """What tells of a task's changes."""

    observers: list[Observer]


class Desk:
    """The desk of a workshop where all is in memory.

    Args:
        workshop: The workshop.
    """

    is_shared = False
    """Whether other processes may be asked about the same tasks."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self._keys: dict[tuple[str, str], str] = {}
        """The ids of tasks that were begun with a key, by channel and key."""

    async def find(self, key: str, principal: Hashable | None, task_id: str) -> TaskState:
        """The task of that id on that channel.

        Raises:
            UnknownTask: there is none. A foreign id, an unknown one and a foreign channel all look the same.
        """
        journal = self.workshop.journals.find(key, principal)
        if journal is None:
            raise UnknownTask("unknown task")
        return self.workshop.registry.get(journal.key, task_id)

    async def look_up(self, task_id: str) -> TaskState | None:
        """The task of that id, whoever's it is."""
        return self.workshop.registry.find(task_id)

    def owns(self, key: str, state: TaskState) -> bool:
        """Whether a task is of that channel key's."""
        return state.owner == key

    async def enter(
        self,
        *,
        terms: Terms,
        key: StartKey | None = None,
        **start: Any,
    ) -> Execution | TaskState:
        """Enter a new task, or, where the key of its start is known on its channel, find the one of that key.

        Args:
            terms: What becomes of it if this process dies.
            key: Names the start.
            start: See `start`.

        Raises:
            KeyRefused: that one was begun with another tool or other arguments.
            TooManyTasks, DuplicateTask, MCPCError: see `start`.
        """
        journal: Journal | None = start.get("journal")
        if key is None or journal is None:
            return self.workshop.start(**start)
        known = self._keys.get((journal.key, key.name))
        if known is not None and (state := self.workshop.registry.find(known)) is not None:
            key.check(state)
            return state
        execution = self.workshop.start(**start)
        execution.state.fingerprint = key.fingerprint
        self._remember(journal.key, key, execution.state.task_id)
        return execution

    def _remember(self, channel: str, key: StartKey, task_id: str) -> None:
        """Know the key from now on, for as long as its task is known."""
        if len(self._keys) >= MAX_KEYS:
            registry = self.workshop.registry
            self._keys = {name: found for name, found in self._keys.items() if registry.find(found) is not None}
        self._keys[channel, key.name] = task_id

    async def send_input(self, state: TaskState, value: Any, key: str | None = None) -> None:
        """An input for a running task; one whose key is known was sent before, and is left out.

        Raises:
            TaskEnded, InputRefused: it takes none.
        """
        if not state.has_heard(key):
            self.workshop.execution(state).give(value)
            state.hear(key, len(state.heard or ()))

    async def answer(self, state: TaskState, prompt_id: str, answer: Any) -> None:
        """The answer to one of a task's questions.

        Raises:
            TaskEnded, PromptError: it cannot be taken.
        """
        self.workshop.execution(state).answer(prompt_id, answer)

    async def refuse(self, state: TaskState, prompt_id: str, action: str) -> None:
        """The user will not answer one of a task's questions: `decline` or `cancel`.

        Raises:
            TaskEnded: it has ended.
        """
        self.workshop.execution(state).refuse(prompt_id, action)

    async def request_stop(self, state: TaskState) -> None:
        """Ask a task to stop; one that has ended is left alone."""
        self.workshop.stop(state)

    def running_of(self, states: Iterable[TaskState]) -> list[Observed]:
        """What tells of these tasks, where they have not ended."""
        return [self.workshop.execution(state) for state in states if not state.ended]
